"""Use three layers: memory, a file and Redis. Nearer layers keep answers found in farther ones."""

import os
import tempfile
import uuid

from askonce import Cache, Layer

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
RUN = f"run-{uuid.uuid4().hex}"  # a namespace of its own: every run starts without answers
QUESTION = "Can I top up by cheque?"


def open_cache(folder: str) -> Cache:
    return Cache(
        ttl="1m",
        namespace=RUN,
        layers=[
            Layer("memory:", size="64 MiB", ttl="30s"),
            Layer(f"sqlite:{folder}/answers.db", name="disk", size="1 GiB"),
            Layer(REDIS, name="redis"),
        ],
    )


def ask(who: str, cache: Cache) -> None:
    answer = cache.get(QUESTION)
    where = f"{answer.layer}, good for {answer.ttl:.0f} s" if answer else "no layer"
    print(f"{who:17} finds it in {where}")


with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
    with open_cache(here) as cache:
        ask("one machine", cache)
        cache.put(QUESTION, "No, by card or transfer.")
        ask("one machine", cache)
    with open_cache(there) as cache:  # a memory and a file of its own, the same Redis
        ask("another machine", cache)
        ask("another machine", cache)
    with open_cache(there) as cache:
        ask("after its restart", cache)
