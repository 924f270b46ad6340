"""The embedders: what turns texts into vectors."""
