"""The address of a Redis: one server, a service that sentinels watch, or a cluster.

    redis://[user:password@]host[:6379][/db]
    redis+sentinel://[user:password@]host[:26379],…/service[/db]
    redis+cluster://[user:password@]host[:6379],…

`rediss`, `rediss+sentinel` and `rediss+cluster` are the same over TLS. Options follow a `?`:
`prefix=` of every key (default `askonce`), and with TLS the files `ca=`, `cert=` and `key=`.
Percent-encode special characters in a user's name and a password.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from askonce.core.errors import ConfigError

_FORM = re.compile(
    r"(?P<tls>rediss?)(?:\+(?P<kind>sentinel|cluster))?"
    r"://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:,\s]+))(?::(?P<port>\d{1,5}))?")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TLS_OPTIONS = ("ca", "cert", "key")
_PATHS = {
    None: (r"/?(?P<db>\d{0,4})", "redis://HOST:6379/DB, with a number for the database"),
    "sentinel": (
        r"/(?P<service>[^/]+)(?:/(?P<db>\d{1,4}))?",
        "redis+sentinel://HOST:26379/SERVICE, with the name that the sentinels know",
    ),
    "cluster": (r"/?0?", "redis+cluster://HOST:6379; a cluster has no other database than 0"),
}


class ServerAddress(NamedTuple):
    """The host and port of one Redis process."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RedisAddress(NamedTuple):
    """An address, read and checked. Its `repr` shows no password."""

    kind: str | None
    servers: tuple[ServerAddress, ...]
    user: str | None
    password: str | None
    service: str
    db: int
    prefix: str
    tls: bool
    files: dict[str, str]

    def __repr__(self) -> str:
        return f"RedisAddress({self.kind or 'server'} {', '.join(map(str, self.servers))})"


def parse_address(url: str) -> RedisAddress:
    """Read an address. Raises `ConfigError`, which never quotes a password."""
    form = _FORM.fullmatch(url)
    if form is None:
        raise ConfigError("a Redis address is redis://HOST:PORT/DB, with everything else encoded")
    kind, tls = form["kind"], form["tls"] == "rediss"
    credentials, _, hosts = form["authority"].rpartition("@")
    user, password = _credentials(credentials)
    pattern, example = _PATHS[kind]
    path = re.fullmatch(pattern, unquote(form["path"] or ""))
    if path is None:
        raise ConfigError(f"a Redis address cannot end like this; write {example}")
    places = {"service": "", "db": "", **path.groupdict(default="")}
    options = _options(form["query"] or "", tls=tls)
    return RedisAddress(
        kind=kind,
        servers=_servers(hosts, 26379 if kind == "sentinel" else 6379, several=kind is not None),
        user=user,
        password=password,
        service=places["service"],
        db=int(places["db"] or 0),
        prefix=options.pop("prefix", "askonce"),
        tls=tls,
        files=options,
    )


def _credentials(text: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    user, colon, password = text.partition(":")
    if not colon or not password:
        raise ConfigError("a Redis user needs a password; write redis://USER:PASSWORD@HOST")
    return unquote(user) or None, unquote(password)


def _servers(text: str, default_port: int, *, several: bool) -> tuple[ServerAddress, ...]:
    servers = []
    for part in text.split(","):
        found = _HOST.fullmatch(part)
        if found is None or not 0 < int(found["port"] or default_port) < 65536:
            # The part is not quoted: a password with an unencoded @ would be in it.
            raise ConfigError("a Redis host is HOST or HOST:PORT; encode @ in a password as %40")
        port = int(found["port"] or default_port)
        servers.append(ServerAddress(found["v6"] or found["name"], port))
    if len(servers) > 1 and not several:
        raise ConfigError("redis:// takes one host; several are redis+sentinel or redis+cluster")
    return tuple(servers)


def _options(query: str, *, tls: bool) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in ("prefix", *_TLS_OPTIONS):
            raise ConfigError("a Redis address has the options prefix, ca, cert and key only")
        if name in _TLS_OPTIONS and not tls:
            raise ConfigError(f"{name}= is an option of TLS; write rediss:// instead of redis://")
        if not value or name in options:
            raise ConfigError(f"{name}= of a Redis address takes one value")
        options[name] = value
    if not _PREFIX.fullmatch(options.get("prefix", "askonce")):
        raise ConfigError("prefix= of a Redis address has letters, digits and any of _.:- only")
    if "key" in options and "cert" not in options:
        raise ConfigError("key= of a Redis address needs its certificate too; add cert=FILE")
    return options
