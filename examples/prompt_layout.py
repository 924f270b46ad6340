"""Build prompts that the provider's own cache can read, by hand and on the way."""

import httpx2
from anthropic import Anthropic

from askonce import Cache, CachingTransport, PromptLayout
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

TERMS = "You answer for a bank. Never promise what the terms do not say. " * 120
MODEL = "claude-sonnet-5-5"

print("By hand:")
layout = PromptLayout(static_prefix=TERMS, dialect="messages", model=MODEL, ttl="1h")
prompts = [
    layout.build(dynamic_context=f"It is 9:4{at}.", user_message=question)
    for at, question in enumerate(("Are you open?", "Where are you?"))
]
for prompt in prompts:
    front, whole = len(prompt.prefix), len(prompt.body)
    print(f"  {front} of {whole} bytes are the front; marked", *prompt.marked)
print("  the same front:", prompts[0].prefix == prompts[1].prefix)

print("On the way, without a change of the code:")
with running(DemoProvider()) as url, Cache(prompts="mark") as cache:
    http = httpx2.Client(transport=CachingTransport(cache))
    with Anthropic(api_key="sk-1", base_url=url, http_client=http) as client:
        for question in ("Are you open?", "Where are you?", "Who are you?"):
            response = client.messages.with_raw_response.create(
                model=MODEL,
                max_tokens=500,
                system=TERMS,
                messages=[{"role": "user", "content": question}],
            )
            print(f"  {question:<14}", response.headers.get("askonce-prompts", "as it came"))
