"""Printing: tables and JSON for a terminal, progress meters, plots. Imported by `commands/` and
nothing below. Start with `terminal.py`.
"""
