"""Builds the data that ships: the model (`embedder`) and the sets of questions (`evaluation`).

Nothing imports this package; each part is a program of its own.
"""
