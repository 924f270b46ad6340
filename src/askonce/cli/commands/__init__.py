"""One module for each command, with `run(options) -> int`. `askonce.cli.main` imports the module of
the command that runs; no other package imports them.
"""
