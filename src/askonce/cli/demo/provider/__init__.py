"""A demo provider, real customers' questions to ask it, and the demo made of both."""
