"""The endpoint `GET /askonce/savings`: the savings of all gateways that share the store.

If `[admin]` has a token, only requests with it are answered, in full. Without a token, every
request is answered with the sums of each day, and never with the name of a tenant.
"""

from urllib.parse import parse_qs

import msgspec

from askonce.core.errors import ConfigError, StoreError
from askonce.gateway.admin import AdminEndpoints
from askonce.gateway.messages import Receive, Scope, Sender, headers_of
from askonce.ledger.savings import plain_savings
from askonce.library.arguments import days as read_days
from askonce.library.assembly import Assembly

_DAYS = 30
_encode = msgspec.json.Encoder(decimal_format="number").encode


class SavingsEndpoint:
    """Answers with the savings of the last 30 days, or of `?days=N`."""

    def __init__(self, assembly: Assembly, admin: AdminEndpoints) -> None:
        self._assembly = assembly
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Sender) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send.refuse(405, "method", "use GET here")
            return
        named = self._admin.is_admin(headers_of(scope))
        if self._admin.exists and not named:
            why = "the answer names tenants; send the admin token: Authorization: Bearer …"
            await send.refuse(401, "unauthorized", why, [(b"www-authenticate", b"Bearer")])
            return
        try:
            days = _days(scope.get("query_string", b""))
            savings = await self._assembly.ledger_service.savings_in_thread(days)
        except ConfigError as error:
            await send.refuse(400, "bad-days", str(error))
            return
        except StoreError:
            await send.refuse(503, "store", "the store is down; try again later")
            return
        body = _encode(plain_savings(savings if named else savings.nameless()))
        await send.whole(200, [(b"content-type", b"application/json")], body)


def _days(query: bytes) -> int:
    """Return the number of days in a query. Raises ConfigError."""
    given = parse_qs(query.decode("latin-1")).get("days", [str(_DAYS)])[-1]
    return read_days(int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0)
