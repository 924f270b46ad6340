"""Cache only calls without randomness, or keep a pool of samples."""

from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

MESSAGES: Any = [{"role": "user", "content": "Suggest a name for my savings account."}]


def ask(client: OpenAI, temperature: float) -> None:
    create = client.chat.completions.with_raw_response.create
    response = create(model="gpt-4o-mini", messages=MESSAGES, temperature=temperature)
    answer = response.parse()
    status = response.headers["cache-status"]
    print(f"  temperature {temperature}: answer ...{answer.id[-4:]}  {status}")


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with running(DemoProvider(first_byte_ms=(50, 50))) as provider:
    for sampling, temperatures in {"bypass": [0, 0, 0.8, 0.8], "pool:3": [0.8] * 6}.items():
        print(f'Cache(sampling="{sampling}")')
        with Cache(sampling=sampling) as cache:
            http_client = httpx2.Client(transport=CachingTransport(cache))
            base_url = f"{provider}/v1"
            with OpenAI(api_key="sk-1", base_url=base_url, http_client=http_client) as client:
                for temperature in temperatures:
                    ask(client, temperature)
            stats = cache.stats()
            print(f"  {stats.upstream} of {stats.calls} calls went to the model\n")
