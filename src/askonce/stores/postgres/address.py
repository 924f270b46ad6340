"""The address of a PostgreSQL store: `postgresql://user:password@host:port/database?schema=askonce`.

The query takes every parameter of libpq (`sslmode`, `target_session_attrs`, …) and one of ours:
`schema`, the schema of the tables. Several caches can share a database in several schemas.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from askonce.core.errors import ConfigError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")


class PostgresAddress(NamedTuple):
    """The parameters of libpq, and the schema of our tables."""

    parameters: dict[str, Any]
    schema: str

    def statement(self, text: str) -> str:
        """Fill `{schema}` into an SQL text; the name is checked, so quotes are enough."""
        return text.replace("{schema}", f'"{self.schema}"')

    def censored(self, text: str) -> str:
        """Return the text in one line, without the password."""
        password = self.parameters.get("password")
        line = " ".join(text.split())
        return line.replace(password, "***") if password else line


def parse_address(url: str, *, schema: str = "askonce") -> PostgresAddress:
    """Parse an address; `schema` is the default of its option. Raises `ConfigError`."""
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
            "PostgreSQL does not understand the store's address; "
            "write postgresql://user:password@host:5432/database"
        ) from None
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ConfigError(
            f"schema={schema} in the store's address is not a name of up to 48 of a-z, 0-9 and _"
        )
    return PostgresAddress(parameters, schema)
