"""The address of a PostgreSQL store: `postgresql://user:password@host:port/database?schema=askonce`.

Everything that libpq understands may stand in the query (`sslmode`, `target_session_attrs`, …);
`schema` is ours: where the tables are. Several caches may share a database under several names.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from askonce.core.errors import ConfigError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")


class PostgresAddress(NamedTuple):
    """Where the store is: libpq's parameters, and the schema of our tables."""

    parameters: dict[str, Any]
    schema: str

    def statement(self, text: str) -> str:
        """An SQL text with `{schema}` filled in; a checked name, which needs no more quoting."""
        return text.replace("{schema}", f'"{self.schema}"')

    def censored(self, text: str) -> str:
        """The text in one line, without the password."""
        password = self.parameters.get("password")
        line = " ".join(text.split())
        return line.replace(password, "***") if password else line


def parse_address(url: str, *, schema: str = "askonce") -> PostgresAddress:
    """Read an address; `schema` where it names none. Raises `ConfigError`."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = urlsplit(url)
        # Like libpq, and unlike HTML forms, a plus is a plus.
        pairs = parts.query.replace("+", "%2B")
        query = dict(parse_qsl(pairs, keep_blank_values=True, strict_parsing=bool(pairs)))
        schema = query.pop("schema", schema)
        rest = urlencode(query, quote_via=quote)
        parameters = conninfo_to_dict(urlunsplit(parts._replace(query=rest)))
    except (ValueError, ProgrammingError):
        # From None: the messages may quote the password.
        raise ConfigError(
            "the store's address is not one that PostgreSQL understands; "
            "write postgresql://user:password@host:5432/database"
        ) from None
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigError(
            f"schema={schema} in the store's address is not a name of up to 48 of a-z, 0-9 and _"
        )
    return PostgresAddress(parameters, schema)
