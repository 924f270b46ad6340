"""What lies at rest: keys, the envelope of an entry, the SQLite file, the archive, Redis' names.

Files are made by `Cache` and the commands, with the clock stopped, and looked at from outside.
"""

import base64
import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec

from askonce import Cache, CachingTransport
from tests.architecture.surface.commands import Done
from tests.architecture.surface.provider import CHAT, MESSAGES, Provider
from tests.architecture.surface.shapes import masked, shape
from tests.fixtures.redis_servers import RedisServer

NOW = 1_800_000_000.0
PEPPER = bytes(range(32))
_HEAD, _CHECK = 6, 16  # bytes of an envelope before and after its payload


def lines(folder: Path) -> Iterator[str]:
    """Everything below; `folder` is writable."""
    path = folder / "answers.db"
    with Cache(f"sqlite:{path}") as cache:
        cache.put("", "", ttl="0s")
    _settle(path)
    _fill(f"sqlite:{path}", folder)
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield "# The SQLite file."
        yield from _schema(db)
        yield ""
        yield "# The keys of fixed questions, which hold for every store."
        yield from _keys(db)
        yield ""
        yield "# The envelopes of two of those entries."
        yield from _envelopes(db)
        yield ""
        yield "# The names of the counters in a store."
        yield from sorted({_nameless(name) for (name,) in db.execute("SELECT name FROM tallies")})
    yield ""
    yield "# Beside the SQLite file lies its index."
    index = path.with_name(f"{path.name}-vectors").read_bytes()
    yield f"{path.name}-vectors begins with {index[:5]!r}"
    yield ""
    yield "# What commands say of it as JSON."
    yield from _commands(folder, path)
    yield ""
    yield "# An archive."
    yield from _archive((folder / "answers.askonce").read_bytes())
    yield ""
    yield "# Redis."
    yield from _redis(folder)


def _settle(path: Path) -> None:
    """Give the file the secret and the numbers that every file made here has."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE name = 'pepper'", [PEPPER])
        db.execute("UPDATE meta SET value = 1000 WHERE name IN ('epoch_floor', 'sequence')")
        db.execute("DELETE FROM entries")
        db.execute("DELETE FROM tallies")


def _fill(url: str, folder: Path) -> None:
    """Store texts, a function's result and answers of both formats."""
    with Cache(url, clock=lambda: NOW, semantic="serve", audit=str(folder / "a")) as cache:
        cache.put("What is a cache?", "A store.", scope="docs", tags=["a"], documents=["4711"])
        cache.put("What is a long answer?", "long " * 1_000)

        cache.remember(version="1")(_double)(21)
        cache.get("What is a cache?", scope="docs")
        transport = CachingTransport(cache, httpx2.MockTransport(_answer))
        with httpx2.Client(transport=transport, base_url="https://api.example") as http:
            for path, headers, body in (
                (CHAT, {"authorization": "Bearer sk-1"}, {"model": "gpt-4o-mini"}),
                (MESSAGES, {"x-api-key": "sk-1"}, {"model": "claude-haiku-4-5", "max_tokens": 9}),
            ):
                asked = {**body, "messages": _question("What is a cache?")}
                assert http.post(path, headers=headers, json=asked).is_success


def _question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _double(number: int) -> int:
    return 2 * number


# The key of a remembered function has its name in it, which is not to change with this file's.
_double.__module__, _double.__qualname__ = "app", "double"


def _answer(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=Provider.answers[request.url.path])


def _schema(db: sqlite3.Connection) -> Iterator[str]:
    for name in ("application_id", "user_version"):
        yield f"PRAGMA {name} = {db.execute(f'PRAGMA {name}').fetchone()[0]}"
    for (statement,) in db.execute("SELECT sql FROM sqlite_master WHERE sql <> '' ORDER BY name"):
        yield " ".join(statement.split())
    for name, kind in db.execute("SELECT name, typeof(value) FROM meta ORDER BY name"):
        yield f"meta has {name}: {kind}"


def _keys(db: sqlite3.Connection) -> Iterator[str]:
    for namespace, format_, digest in db.execute(
        "SELECT namespace, format, digest FROM entries ORDER BY format, digest"
    ):
        yield f"{namespace}/{format_}/{digest.hex()}"


def _envelopes(db: sqlite3.Connection) -> Iterator[str]:
    found = db.execute("SELECT blob FROM entries WHERE format = 'text' ORDER BY size").fetchall()
    for (blob,) in found:
        check = hashlib.blake2b(blob[:-_CHECK], digest_size=_CHECK).digest() == blob[-_CHECK:]
        packed = blob[_HEAD : _HEAD + 4] == b"\x28\xb5\x2f\xfd"  # a frame of zstd
        kind = "zstd" if packed else "MessagePack"
        yield f"{blob[:_HEAD]!r} before {kind}, BLAKE2b after: {check}"
        if packed:
            continue
        for name, value in msgspec.msgpack.decode(blob[_HEAD:-_CHECK]).items():
            yield f"    {name}: {value!r}"
        yield f"    all of it: {base64.b64encode(blob).decode()}"


def _nameless(text: str) -> str:
    """A counter's name without the day, the tenant, the model, the route and what the index did."""
    text = re.sub(r"^semantic:.*", "semantic:WORD", text)
    return re.sub(r"^\|(day|month)\|[\d-]+\|.*\|", r"|\1|DATE|TENANT|MODEL|ROUTE|", text)


def _commands(folder: Path, path: Path) -> Iterator[str]:
    config = folder / "files.toml"
    config.write_text(f'[store]\nurl = "sqlite:{path}"\n', encoding="utf-8")
    settings = [f"--config={config}", "--json"]
    archive = folder / "answers.askonce"
    bodies = [folder / f"{name}.json" for name in ("a", "b")]
    for body, question in zip(bodies, ("Why?", "Why not?"), strict=True):
        body.write_text(json.dumps({"model": "gpt-4o", "messages": _question(question)}))
    for arguments in (
        ["explain", str(bodies[0]), str(bodies[0])],
        ["explain", *map(str, bodies)],
        ["entries", "list"],
        ["entries", "remove", "--namespace=nowhere", "--yes"],
        ["stats"],
        ["savings"],
        ["check"],
        ["invalidate", "--match=cache", "--dry-run"],
        ["export", str(archive)],
        ["import", str(archive)],
    ):
        done = Done(*arguments, *settings)
        assert not done.complaint
        yield f"{' '.join(arguments).replace(str(folder), 'FOLDER')} -> {done.status}"
        document = json.loads(done.out)
        if "semantic" in document:
            document["semantic"] = {"WORD": 1}  # which words depends on how far the index was
        yield from (f"    {line}" for line in shape(document))


def _archive(archive: bytes) -> Iterator[str]:
    header, _, rest = archive.partition(b"\n")
    yield from shape(json.loads(header))
    yield masked(re.sub(r'"(created|made_by|pepper)":("[^"]*"|[\d.]+)', r'"\1":N', header.decode()))
    kind = b""
    while kind != b"F":  # not by the next byte: the check behind the footer may begin with any
        kind, size = rest[:1], int.from_bytes(rest[1:5], "big")
        body = rest[5 : 5 + size]
        shown = json.loads(body) if kind == b"F" else repr(body[:_HEAD])
        yield f"{kind.decode()} and a length before {shown}"
        rest = rest[5 + size :]
    yield f"{len(rest)} bytes at the end"


def _redis(folder: Path) -> Iterator[str]:
    server = RedisServer(8).start()
    try:
        _fill(server.url, folder)
        with server.client(decode_responses=True) as client:
            yield from sorted(
                re.sub(r"[0-9a-f]{32,64}", "DIGEST", f"{name!s} is a {client.type(name)!s}")
                for name in client.scan_iter()
            )
    finally:
        server.close()
