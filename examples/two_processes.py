"""Share one cache between two processes, including invalidations."""

import multiprocessing
import os
import time
import uuid
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

REDIS = os.environ.get("ASKONCE_EXAMPLE_REDIS", "redis://localhost:6379/0")
TAGGED = {"AskOnce-Tags": "hours"}
ASK: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Are you open?"}]}


def process(url: str, run: str, orders: Any) -> None:
    with Cache(REDIS, ttl="1m", namespace=run) as cache:
        http_client = httpx2.Client(transport=CachingTransport(cache))
        with OpenAI(api_key="sk-1", base_url=f"{url}/v1", http_client=http_client) as client:
            create = client.chat.completions.with_raw_response.create
            while (order := orders.recv()) != "end":
                if order == "asks":
                    orders.send(create(**ASK, extra_headers=TAGGED).headers["cache-status"])
                else:
                    cache.invalidate(tags=["hours"])
                    orders.send("the tag `hours`; a second later every process knows")


if __name__ == "__main__":
    # For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
    with running(DemoProvider(first_byte_ms=(50, 50))) as url:
        context, run, ends = multiprocessing.get_context("spawn"), uuid.uuid4().hex, {}
        for name in "AB":
            ends[name], theirs = context.Pipe()
            context.Process(target=process, args=(url, run, theirs), daemon=True).start()
            theirs.close()
        for step in ("A asks", "B asks", "B asks", "A invalidates", "B asks", "A asks"):
            name, order = step.split()
            ends[name].send(order)
            print(f"{step:14}", ends[name].recv())
            time.sleep(order == "invalidates")
        for end in ends.values():
            end.send("end")
        for child in multiprocessing.active_children():
            child.join()
