"""The options and help pages of all commands, built on argparse; imports nothing heavy, so that
`askonce --help` is fast. `parser.py` puts the commands together; `parts.py` has what they share.
"""
