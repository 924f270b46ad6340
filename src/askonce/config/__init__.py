"""The settings of `askonce.toml` and `ASKONCE_*`: structs, loader, printer.

The library takes the same values as arguments and does not import this package; the gateway and the
command line do. It may import the packages whose settings it holds. Start with `settings.py`: a
setting is one field of a struct there, or of a struct that another package owns.
"""
