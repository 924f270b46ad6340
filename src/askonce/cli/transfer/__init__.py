"""Moves of entries between stores and archives, with checkpoints. The commands export, import and
copy import it. Start with `moves.py`.
"""
