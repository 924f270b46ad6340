"""Readers of the library's arguments: they return precise values, or raise `ConfigError`."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, cast, get_args

from askonce.core import document_tags, values
from askonce.core.directives import Mode, is_tag, no_tag
from askonce.core.errors import ConfigError
from askonce.core.policy import Limits
from askonce.core.protocols import Store
from askonce.core.request_headers import HeaderKinds, header_names, ignored_names
from askonce.core.settings_table import SECONDS, settings_of, with_values
from askonce.core.units import seconds, size_bytes
from askonce.pipeline.response_cache_control import CacheControlMode
from askonce.stores.tiered.layers import Layer, SharingSettings, TierSpec, tiers_of

MOST_DAYS = 36_500
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def limits(**given: Any) -> Limits:
    """Read the limits by the keys of `[cache]`; durations may be a timedelta or a text."""
    settings = settings_of(Limits)
    found: dict[str, Any] = {}
    for key, value in given.items():
        kind = settings[key].kind
        found[key] = seconds(key, value) if kind is SECONDS else _read(key, kind.read, value)
    return with_values(Limits(), found)


def _read(name: str, reader: values.Reader, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


def tiers(
    url: str | os.PathLike[str], layers: Sequence[Layer | str | Store] | None
) -> tuple[TierSpec | None, tuple[TierSpec, ...]]:
    """Read an address or layers: the memory's spec, if there is one, and the tiers below it.

    A path is a SQLite file.
    """
    if not isinstance(url, str):
        url = f"sqlite:{os.fspath(url)}"
    if layers is not None and url != "memory:":
        raise ConfigError("layers and an address were given; put the address into layers")
    return tiers_of([url] if layers is None else layers)


def memory_tier(size: int | str, named: TierSpec | None) -> TierSpec:
    """Make the memory's spec; its layer overrides the argument beside the layers."""
    own = TierSpec("memory", "memory:", None, size_bytes("memory", size), 1.0)
    if named is None:
        return own
    return own._replace(ttl=named.ttl, size=own.size if named.size is None else named.size)


def sharing(consistency: str, lease: timedelta | str, wait: timedelta | str) -> SharingSettings:
    """Read how the processes of one store work together."""
    if consistency not in ("eventual", "strong"):
        raise ConfigError(f"consistency is {consistency!r}; write 'eventual' or 'strong'")
    return SharingSettings(
        consistency=cast('Literal["eventual", "strong"]', consistency),
        lease=seconds("lease", lease),
        lease_wait=seconds("lease_wait", wait),
    )


def stateless(given: Iterable[str] | Mapping[str, bool]) -> dict[str, bool]:
    """Read the addresses where the end user changes no answer; a text is one address."""
    named = given if isinstance(given, Mapping) else dict.fromkeys(_as_list(given), True)
    return {_read("stateless", values.base_url, origin): own for origin, own in named.items()}


def response_cache_control(
    given: CacheControlMode | Mapping[str, CacheControlMode],
) -> dict[str, CacheControlMode]:
    """Read how a provider's `no-store` is taken, by address; the empty one is for all others."""
    named = {"": given} if isinstance(given, str) else given
    if not isinstance(named, Mapping):
        raise ConfigError("response_cache_control is neither a word nor a mapping by address")
    mode = values.one_of(*get_args(CacheControlMode))
    return {
        _read("response_cache_control", values.base_url, origin) if origin else "": _read(
            "response_cache_control", mode, word
        )
        for origin, word in named.items()
    }


def members(given: Iterable[str]) -> tuple[str, ...]:
    """Read names of members of a body that change no answer; a text is one name."""
    return tuple(_read("ignore_members", values.members, _as_list(given)))


def header_kinds(ignored: Iterable[str], credentials: Iterable[str]) -> HeaderKinds:
    """Read names of harmless headers and of credentials; a text is one name."""
    return HeaderKinds(
        _read("ignore_headers", ignored_names, _as_list(ignored)),
        _read("credentials", header_names, _as_list(credentials)),
    )


def _as_list(given: Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def namespace(given: str | None) -> str | None:
    """Check a namespace."""
    if given is not None and not _NAMESPACE.fullmatch(given):
        raise ConfigError(f"namespace is {given!r}; write letters, digits, '.', '_', '-'")
    return given


def tags(given: Iterable[str], retrieved: Iterable[Any] = ()) -> list[str]:
    """Read tags, and add those of retrieved documents; a text is one tag."""
    wanted = _as_list(given)
    for tag in wanted:
        if not is_tag(tag):
            raise ConfigError(no_tag(tag))
    return [*wanted, *document_tags.document_tags(retrieved)] if retrieved else wanted


def mode(given: str | None) -> Mode | None:
    """Read the mode of one call's matching by meaning; None leaves it to the cache."""
    if given is None or given in ("off", "shadow", "serve"):
        return cast("Mode | None", given)
    raise ConfigError(f"semantic is {given!r}; write 'off', 'shadow' or 'serve'")


def similarity(given: float) -> float:
    """Read the least cosine of one call's matching by meaning."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise ConfigError(f"similarity is {given!r}; write a cosine from 0 to 1, such as 0.95")
    return float(given)


def days(given: int) -> int:
    """Read a number of days, today included."""
    if type(given) is not int or not 1 <= given <= MOST_DAYS:
        raise ConfigError(f"days is {given!r}; write a number from 1 to {MOST_DAYS}")
    return given
