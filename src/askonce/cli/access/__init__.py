"""Access to the objects that a command works on: settings, stores, layers, running gateways. Only
`commands/` and `demo/` import it. Start with `configuration.py` and `stores.py`.
"""
