"""Let the question decide how long its answer lives, its tags, and whether it is stored."""

import time
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport, Rules
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

RULES = (
    Rules()
    .after("price|cost", "5m")
    .after("polic(y|ies)", "7d")
    .tag(r"order (?P<id>[\w-]+)", "order:{id}")
    .pack("time-sensitive")
)

clock = time.time()


def ask(client: OpenAI, question: str) -> None:
    messages: Any = [{"role": "user", "content": question}]
    create = client.chat.completions.with_raw_response.create
    response = create(model="gpt-4o-mini", messages=messages)
    print(f"  {question:31} {response.headers['cache-status']}")


QUESTIONS = [
    "What does the card cost?",
    "What is your return policy?",
    "What is in order AB-12?",
    "Is the branch open right now?",
]

# For the real thing, drop `running`, `base_url` and `clock`.
with running(DemoProvider()) as provider, Cache(rules=RULES, clock=lambda: clock) as cache:
    http_client = httpx2.Client(transport=CachingTransport(cache))
    with OpenAI(api_key="sk-1", base_url=f"{provider}/v1", http_client=http_client) as client:
        for title, seconds in (("Now:", 0), ("A minute later:", 60), ("Ten minutes later:", 600)):
            clock += seconds
            print(title)
            for question in QUESTIONS:
                ask(client, question)
        cache.invalidate(tags=["order:ab-12"])
        print("After order AB-12 changed:")
        ask(client, QUESTIONS[2])
