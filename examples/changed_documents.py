"""Invalidate the answers that were made from a changed document, and no others."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI

from askonce import Cache, CachingTransport, document_tags
from askonce.cli import main
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running

DOCUMENTS = {"returns": "Returns are free for 30 days.", "hours": "We open at 9."}
QUESTIONS = {"May I return it?": ["returns"], "When do you open?": ["hours"]}


def ask_all(provider: str, store: str) -> None:
    with Cache(store) as cache:
        http_client = httpx2.Client(transport=CachingTransport(cache))
        with OpenAI(api_key="sk-1", base_url=f"{provider}/v1", http_client=http_client) as client:
            create = client.chat.completions.with_raw_response.create
            for question, names in QUESTIONS.items():
                found = [{"id": name, "text": DOCUMENTS[name]} for name in names]
                tags = {"AskOnce-Tags": ",".join(document_tags(found))}
                messages: Any = [{"role": "user", "content": question}]
                reply = create(model="gpt-4o-mini", messages=messages, extra_headers=tags)
                print(f"  {question:18} {reply.headers['cache-status']}")


def sync(folder: Path) -> None:
    """Write the documents and their manifest, and run `askonce docs sync manifest.json`."""
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text)
    listed = [{"id": name, "path": name} for name in DOCUMENTS]
    (folder / "manifest.json").write_text(json.dumps({"documents": listed}))
    main(["docs", "sync", str(folder / "manifest.json")])


# For the real thing, drop `running` and `base_url`: the SDK then reads OPENAI_API_KEY.
with tempfile.TemporaryDirectory() as name, running(DemoProvider()) as provider:
    store = os.environ["ASKONCE_STORE__URL"] = f"sqlite:{name}/answers.db"
    ask_all(provider, store)
    sync(Path(name))
    DOCUMENTS["returns"] = "Returns are free for 14 days."
    sync(Path(name))
    ask_all(provider, store)
