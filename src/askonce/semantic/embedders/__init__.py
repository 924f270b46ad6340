"""The embedders: they turn texts into vectors of unit length (`core.protocols.Embedder`).

`open_embedder` opens one by its address: `local` runs the model that ships with AskOnce, `endpoint`
asks a server, `installed` uses a library of the user. Each of them imports its libraries when it is
opened. `semantic` and the packages above it may import this package. Start in `open_embedder`.
"""
