"""What can be set: every table and key with its default, the optional keys, the environment."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tests.architecture.surface.commands import Done

EXAMPLE = Path(__file__).resolve().parents[3] / "askonce.toml.example"

EVERY_OPTION = """
[memory]
ttl = "1h"
[layers.disk]
url = "sqlite:askonce.db"
ttl = "1h"
size = "10 GiB"
deadline = "250ms"
[semantic]
embedder = "https://embedder.example/v1?model=name"
embedder_key = "sk-of-the-embedder"
[admin]
token = "an-admin-token-of-some-length"
webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
audit = "audit.jsonl"
[ledger]
storage_price = "0.10"
embedding_price = "0.02"
[providers.local]
base_url = "http://127.0.0.1:8000"
format = "openai"
[sources.shop]
url = "redis://localhost:6379/0"
stream = "shop:events"
[sources.database]
url = "postgresql://localhost/shop"
channel = "shop_events"
[tenants.acme]
keys = ["sk-acme-1"]
upstream_key = "sk-upstream"
[[rules]]
match = "price|cost"
model = "gpt-4o*"
route = "/v1/chat/*"
ttl = "5m"
tags = ["prices"]
[[rules]]
match = "internal"
never = "about our own affairs"
[[rules]]
pack = "time-sensitive"
[[rules]]
on = "product_updated"
tags = ["product:{product_id}"]
"""
"""The keys that have no default, each at least once."""


def lines(folder: Path) -> Iterator[str]:
    """The defaults, the keys without one, and what the environment sets; `folder` is writable."""
    empty, full = folder / "empty.toml", folder / "full.toml"
    empty.touch()
    full.write_text(EVERY_OPTION, encoding="utf-8")
    defaults = _flat(_shown(empty)["settings"])
    yield "# Keys and their defaults, as `askonce config` shows them."
    yield from (f"{key} = {json.dumps(value)}" for key, value in defaults.items())
    optional = _flat(_shown(full)["settings"])
    yield ""
    yield "# Keys without a default; a value that was given is shown, a secret is masked."
    for key, value in optional.items():
        if key not in defaults:
            yield f"{key} = {json.dumps(value)}"
    yield ""
    yield "# Keys that only askonce.toml.example has."
    written = EXAMPLE.read_text(encoding="utf-8")
    example = re.sub(r"^# (?=\[|\w+ = )", "", written, flags=re.MULTILINE)
    known = {_nameless(key) for key in [*defaults, *optional]}
    yield from sorted({*map(_nameless, _flat(tomllib.loads(example)))} - known) or ["none"]
    yield ""
    yield "# The environment."
    for variable, value in {
        "ASKONCE_CACHE__TTL": "1h",
        "ASKONCE_PROVIDERS__LOCAL__BASE_URL": "http://127.0.0.1:8000",
        "ASKONCE_CACHE__ALSO_STORE": "length,refusal",
    }.items():
        format_ = {"ASKONCE_PROVIDERS__LOCAL__FORMAT": "openai"} if "LOCAL" in variable else {}
        shown = _shown(empty, {variable: value, **format_})
        (key,) = (key for key, origin in shown["origins"].items() if origin == variable)
        yield f"{variable}={value} sets {key} = {json.dumps(_flat(shown['settings'])[key])}"


def _shown(config: Path, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `askonce config --json` shows under an environment of nothing but these variables."""
    with mock.patch.dict(os.environ, environ or {}, clear=True):
        done = Done("config", f"--config={config}", "--json")
    assert done.status == 0, done.complaint
    shown: dict[str, Any] = json.loads(done.out)
    return shown


def _nameless(key: str) -> str:
    """The key without the name that a user gives to a layer, a provider, a tenant or a source."""
    return re.sub(r"^(layers|providers|tenants|sources|rules)\.[^.]+", r"\1.NAME", key)


def _flat(tables: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by their dotted keys; the tables of an array are numbered from 1."""
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {f"{number}": table for number, table in enumerate(value, 1)}
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat
