"""Run one gateway for two tenants: the callers of a tenant share answers, other callers do not."""

from typing import Any

from openai import OpenAI

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.config.load import load
from askonce.gateway.server import build

# `askonce serve --config FILE` does the same with this text in a file. For the real thing,
# base_url is https://api.openai.com and upstream_key is the key that you pay with.
CONFIG = """
[store]
url = "memory:"
[providers.openai]
base_url = "{provider}"
format = "openai"
[tenants.acme]
keys = ["sk-acme-1", "sk-acme-2"]
upstream_key = "sk-paid-by-acme"
[tenants.globex]
keys = ["sk-globex-1"]
upstream_key = "sk-paid-by-globex"
"""
MESSAGES: Any = [{"role": "user", "content": "What does the premium plan cost?"}]

provider = DemoProvider(first_byte_ms=(50, 50))
with running(provider) as url:
    gateway = build(load(CONFIG.format(provider=url), {}))
    with running(gateway, lifespan="on") as gateway_url:
        for key in ("sk-acme-1", "sk-acme-2", "sk-globex-1", "sk-globex-1"):
            with OpenAI(api_key=key, base_url=f"{gateway_url}/v1") as client:
                create = client.chat.completions.with_raw_response.create
                status = create(model="gpt-4o-mini", messages=MESSAGES).headers["cache-status"]
                print(f"{key:12} {status}")
print(f"The model was asked {provider.calls.total} times: once for each tenant.")
