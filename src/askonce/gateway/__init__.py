"""The gateway: the cache behind an HTTP address that any program can call.

This package imports everything except `cli`; only `cli` imports it. Start with `server.py`: `build`
makes the ASGI application from the settings, `serve` runs it. `app.py` routes a request to its
endpoint: `endpoints.py` (a provider's API, cached or passed through), `admin.py` and `savings.py`.
"""
