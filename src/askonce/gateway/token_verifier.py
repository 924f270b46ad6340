"""Verified tokens: callers whose credential changes with each login, named by a claim of it.

A JSON Web Token is verified with PyJWT against the issuer's public keys. A token that does not
verify is a credential like any other: its caller has a namespace of its own.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec

from askonce.config.settings import JwtIdentity
from askonce.core.bounded import BoundedMap
from askonce.core.errors import ConfigError, missing_library
from askonce.core.identity import bare
from askonce.core.runtime.event_loop import AsyncRuntime

_log = logging.getLogger("askonce.identity")

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Signatures by a private key. A shared secret (HS256) is none: a public key would serve as one."""

_MEMOIZED = 4_096
_LARGEST_KEYS = 1 << 20  # bytes
_LONGEST_TOKEN = 16_384  # characters
_FRESH_S = 300.0
"""How long fetched keys are used before they are fetched again."""
_PATIENCE_S = 2.0
"""How long a caller with an unknown key waits for the keys to be fetched."""
_PAUSE_S = 10.0
"""The least time between two fetches: unknown keys must not make a fetch for each call."""
_LEEWAY_S = 30


class VerifiedCaller(NamedTuple):
    """The caller whom a token names.

    Parameters:
        name: the issuer and the claim.
        until: when the token expires, in seconds since the Unix epoch.
    """

    name: tuple[str, str]
    until: float


class TokenVerifier:
    """Verifies the tokens of one issuer.

    Parameters:
        settings: the issuer, the audience, the keys and the claim.
        runtime: clocks and timeouts.
        fetch: returns the bytes behind a URL. Default: a GET with the system's authorities.

    Raises `ConfigError` if PyJWT is not installed, or a file of keys cannot be read.
    """

    def __init__(
        self,
        settings: JwtIdentity,
        runtime: AsyncRuntime,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
    ) -> None:
        try:
            import cryptography  # noqa: F401 - PyJWT needs it for public keys
            import jwt
        except ImportError as error:
            raise missing_library("[identity.jwt]", error.name or "jwt", "jwt") from None
        self._jwt = jwt
        self._settings = settings
        self._runtime = runtime
        self._fetch = fetch or _get
        self._keys: dict[str | None, Any] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._known: BoundedMap[str, VerifiedCaller] = BoundedMap(_MEMOIZED)
        if not settings.is_remote:
            self._keys = self._read(_file(settings.keys), settings.keys)

    async def caller(self, authorization: str) -> VerifiedCaller | None:
        """Return the caller whom a token names; None if it does not verify.

        Parameters:
            authorization: the value of the `Authorization` header.
        """
        token = bare(authorization)
        if token.count(".") != 2 or len(token) > _LONGEST_TOKEN:
            return None
        known = self._known.get(token)
        if known is None:
            known = await self._verified(token)
            if known is not None:
                self._known[token] = known
        return known if known is not None and known.until > self._runtime.now() else None

    async def _verified(self, token: str) -> VerifiedCaller | None:
        try:
            header = self._jwt.get_unverified_header(token)
        except self._jwt.PyJWTError:
            return None
        if header.get("alg") not in ALGORITHMS:
            return None
        kid = header.get("kid")
        if self._settings.is_remote:
            is_stale = self._runtime.monotonic() - self._fetched > _FRESH_S
            if is_stale or self._key(kid) is None:
                await self._refresh()
        key = self._key(kid)
        return None if key is None else self._decoded(token, key, header["alg"])

    def _decoded(self, token: str, key: Any, algorithm: str) -> VerifiedCaller | None:
        given = self._settings
        try:
            claims = self._jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=given.issuer,
                audience=list(given.audience),
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", given.claim], "verify_sub": False},
            )
            name, until = claims[given.claim], float(claims["exp"])
        except (self._jwt.PyJWTError, TypeError, ValueError):
            return None
        if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
            return None
        return VerifiedCaller((given.issuer, str(name)), until)

    def _key(self, kid: Any) -> Any:
        """Return the key of this name; the only key there is serves a token that names none."""
        if isinstance(kid, str):
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if kid is None and len(self._keys) == 1 else None

    async def _refresh(self) -> None:
        """Fetch the issuer's keys; the old ones stay in use while that fails."""
        now = self._runtime.monotonic()
        if now - self._tried < _PAUSE_S:
            return
        self._tried = now
        try:
            fetched = await self._runtime.with_timeout(
                _PATIENCE_S, self._fetch(self._settings.keys)
            )
            self._keys = self._read(fetched, self._settings.keys)
            self._fetched = self._runtime.monotonic()
        except (httpx2.HTTPError, TimeoutError, OSError, ConfigError) as error:
            _log.warning("the keys of [identity.jwt] cannot be fetched: %s", type(error).__name__)

    def _read(self, text: bytes, where: str) -> dict[str | None, Any]:
        """Read a JSON Web Key Set, or one public key as PEM."""
        try:
            if text.lstrip().startswith(b"-----BEGIN"):
                if b"PRIVATE KEY" in text:
                    raise ConfigError(
                        f"{where}: holds a private key; the gateway needs the public one"
                    )
                return {None: _pem(text)}
            keys = msgspec.json.decode(text)["keys"]
            found = [self._jwt.PyJWK(key) for key in keys if key.get("kty") in ("RSA", "EC", "OKP")]
            read = {key.key_id: key.key for key in found}
        except (
            msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError,
            self._jwt.PyJWTError,
        ):  # fmt: skip
            read = {}
        if not read:
            raise ConfigError(
                f"{where}: holds no public keys; give a JSON Web Key Set or a PEM file"
            )
        return read


def _pem(text: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(text)


def _file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"identity.jwt.keys: {name} cannot be read: {error.strerror}") from None


async def _get(url: str) -> bytes:
    """Return the bytes behind a URL, of a bounded size. Raises `httpx2.HTTPError`."""
    async with httpx2.AsyncClient() as client, client.stream("GET", url) as response:
        response.raise_for_status()
        found = b""
        async for piece in response.aiter_bytes():
            found += piece
            if len(found) > _LARGEST_KEYS:
                raise httpx2.DecodingError("the keys are larger than 1 MiB")
        return found
