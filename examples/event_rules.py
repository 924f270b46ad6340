"""Invalidate answers by events from a shop's own systems."""

from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport, Rules
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

RULES = (
    Rules()
    .tag(r"order (?P<id>\d+)", "order:{id}")  # questions that name an order carry its tag
    .on("order_shipped", tags=["order:{id}"])
    .on("prices_changed", pattern=r"price|cost")
)
QUESTIONS = ("Where is order 7?", "Where is order 8?", "What does shipping cost?", "Are you open?")

# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider(first_byte_ms=(50, 50))) as url, Cache(rules=RULES) as cache:

    @cache.on_event("holiday_announced")
    def holiday(data: dict[str, Any]) -> list[str]:
        return [f"hours:{shop}" for shop in data["shops"]]

    http_client = httpx2.Client(transport=CachingTransport(cache))
    with OpenAI(api_key="sk-1", base_url=f"{url}/v1", http_client=http_client) as client:

        def ask_all(when: str) -> None:
            print(when)
            for question in QUESTIONS:
                answer = client.chat.completions.with_raw_response.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": question}],
                    extra_headers={"AskOnce-Tags": "hours:bern"} if "open" in question else {},
                )
                print(f"  {question:26}", answer.headers["cache-status"])

        ask_all("At first:")
        cache.emit("order_shipped", id="7", event_id="evt-1")
        print("Sent once more:", cache.emit("order_shipped", id="7", event_id="evt-1").repeated)
        ask_all("Order 7 was shipped:")
        cache.emit("prices_changed")
        ask_all("Prices changed:")
        cache.emit("holiday_announced", shops=["bern", "basel"])
        ask_all("A holiday was announced:")
