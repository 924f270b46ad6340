"""Signed requests: AWS Signature Version 4 and its relatives.

A signature covers the time and the body, so it differs in each call: it is neither question nor
identity. Behind it stands an access key, which `Authorization` names beside a date, a region and a
service. The library takes the key and its scope as the caller's identity, because it signs by
itself. The gateway cannot verify a signature, so it bypasses the cache.
"""

import re
from collections.abc import Mapping

_SCHEME = re.compile(r"\s*[A-Z0-9]+-HMAC-SHA[0-9-]+\s+(.*)", re.DOTALL)
_CREDENTIAL = re.compile(r"(?:^|[,\s])Credential=([^,\s]+)")
_DATE = re.compile(r"[0-9]{8}")

SIGNATURE_HEADERS = frozenset(
    {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "authorization"}
)
"""Headers of a signed request that belong to its signature."""


def signer(headers: Mapping[str, str]) -> str | None:
    """Return who signed a request: its access key and scope without the date.

    Parameters:
        headers: the request's headers, with lower-case names.

    Returns None for a request that is not signed, "" for one that does not name its access key.
    """
    found = _SCHEME.match(headers.get("authorization", ""))
    if found is None:
        return None
    credential = _CREDENTIAL.search(found[1])
    if credential is None:
        return ""
    return "/".join(part for part in credential[1].split("/") if not _DATE.fullmatch(part))
