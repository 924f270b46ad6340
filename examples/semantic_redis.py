"""Match by meaning between programs through Redis 8, each context apart from the others."""

import os
import time
import uuid

from askonce import Cache, Semantic

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
RUN = f"run-{uuid.uuid4().hex}"  # a namespace of its own: every run starts without answers


def open_cache() -> Cache:
    # Answers and vectors in one Redis 8; the last three questions of each context are compared.
    # A long deadline, because a busy machine loads the model slowly.
    semantic = Semantic(mode="serve", index=REDIS, max_entries=3, deadline="10s")
    return Cache(REDIS, namespace=RUN, semantic=semantic)


def ask(cache: Cache, question: str, context: str) -> None:
    answer = cache.get(question, scope=context)
    said = "no answer" if answer is None else f"{answer.text} (asked as {answer.matched!r})"
    print(f"  {context:7} {question:34} {said}")


print("One program stores the answers:")
with open_cache() as cache:
    cache.put("How long does delivery take?", "Two days.", scope="shop", ttl="8s")
    cache.put("How long does delivery take?", "Half an hour.", scope="pizzas")
    for number in range(1, 5):
        cache.put(f"Who won the race in 200{number}?", f"Team {number}.", scope="races")

print("Another program asks in other words:")
with open_cache() as cache:
    ask(cache, "How long will delivery take?", "shop")
    ask(cache, "How long will delivery take?", "pizzas")
    ask(cache, "How long will delivery take?", "hotel")
    ask(cache, "Who won the race of 2001?", "races")
    ask(cache, "Who won the race of 2004?", "races")
    print("  ... and after the answer expired:")
    while cache.get("How long does delivery take?", scope="shop"):
        time.sleep(0.2)
    ask(cache, "How long will delivery take?", "shop")
    ask(cache, "How long will delivery take?", "pizzas")
