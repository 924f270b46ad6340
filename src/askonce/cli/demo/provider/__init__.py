"""A provider to practice on, real customers' questions to ask it, and the demo made of both."""
