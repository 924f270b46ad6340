"""Builds the sets of questions that ship with `askonce eval` from public ones.

Nothing imports this package; start in `__main__`.
"""
