"""Redis 8 shares what asks the same between programs: each context for itself, for its time."""

import os
import time
import uuid

from askonce import Cache, Semantic

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
RUN = f"run-{uuid.uuid4().hex}"  # a namespace of its own: every run begins with no answers


def open_cache() -> Cache:
    # Answers and vectors in one Redis 8; of each context the last three questions are compared.
    # Patient, because a busy machine takes its time to read the model.
    semantic = Semantic(mode="serve", index=REDIS, max_entries=3, deadline="10s")
    return Cache(REDIS, namespace=RUN, semantic=semantic)


def ask(cache: Cache, question: str, context: str) -> None:
    answer = cache.get(question, scope=context)
    said = "no answer" if answer is None else f"{answer.text} (asked as {answer.matched!r})"
    print(f"  {context:7} {question:34} {said}")


print("One program tells what the answers are:")
with open_cache() as cache:
    cache.put("How long does delivery take?", "Two days.", scope="shop", ttl="8s")
    cache.put("How long does delivery take?", "Half an hour.", scope="pizzas")
    for number in range(1, 5):
        cache.put(f"Who won the race in 200{number}?", f"Team {number}.", scope="races")

print("Another one asks in other words:")
with open_cache() as cache:
    ask(cache, "How long will delivery take?", "shop")
    ask(cache, "How long will delivery take?", "pizzas")
    ask(cache, "How long will delivery take?", "hotel")
    ask(cache, "Who won the race of 2001?", "races")
    ask(cache, "Who won the race of 2004?", "races")
    print("  ... and after its time:")
    while cache.get("How long does delivery take?", scope="shop"):
        time.sleep(0.2)
    ask(cache, "How long will delivery take?", "shop")
    ask(cache, "How long will delivery take?", "pizzas")
