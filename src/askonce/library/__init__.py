"""The cache as a library: `Cache`, `AsyncCache` and the HTTP transport for the providers' SDKs.

The front ends `gateway` and `cli` import this package, which imports every package below it.
`assembly.py` is the only place that connects the parts of a cache. Start reading in `cache.py`
for what users call, and in `assembly.py` for what a cache is made of.
"""
