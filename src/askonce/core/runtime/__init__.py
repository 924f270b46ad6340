"""Time, threads and event loops: the only package that may import `asyncio` or `threading`.

`interface` is the `Runtime` that the request path asks for time, locks, events and background work.
`threads` implements it for the sync mode (`SyncRuntime`, and `run_sync`, which steps a coroutine
without an event loop), `event_loop` for the async mode (`AsyncRuntime`), and `background` runs
periodic work in a daemon thread. The interface is pure and every package may import it; the
implementations are for `library`, `gateway`, `cli` and the modules that own a thread. Start with
`interface`.
"""
