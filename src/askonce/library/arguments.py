"""The library's arguments, read into precise values; `ConfigError` says what is wrong with one."""

from collections.abc import Iterable
from typing import Any, cast

from askonce.core import document_tags, values
from askonce.core.directives import Mode, is_tag, no_tag
from askonce.core.errors import ConfigError
from askonce.core.policy import Limits
from askonce.core.settings_table import SECONDS, settings_of, with_values
from askonce.core.units import seconds, size_bytes
from askonce.stores.tiered.layers import TierSpec

MOST_DAYS = 36_500


def tags(given: Iterable[str], retrieved: Iterable[Any] = ()) -> list[str]:
    """Tags, with those of retrieved documents; one text alone is one tag."""
    wanted = [given] if isinstance(given, str) else list(given)
    for tag in wanted:
        if not is_tag(tag):
            raise ConfigError(no_tag(tag))
    return [*wanted, *document_tags.document_tags(retrieved)] if retrieved else wanted


def limits(**given: Any) -> Limits:
    """Read the limits as the settings file does, by the keys of `[cache]`."""
    settings = settings_of(Limits)
    read = {}
    for key, value in given.items():
        kind = settings[key].kind
        read[key] = seconds(key, value) if kind is SECONDS else _read_as(key, kind.read, value)
    return with_values(Limits(), read)


def _read_as(name: str, reader: values.Reader, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


def mode(given: str | None) -> Mode | None:
    """How one call wants to be matched by meaning; None where it leaves that to the cache."""
    if given is None or given in ("off", "shadow", "serve"):
        return cast("Mode | None", given)
    raise ConfigError(f"semantic is {given!r}; write 'off', 'shadow' or 'serve'")


def similarity(given: float) -> float:
    """How near what asks the same must lie, for one call."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise ConfigError(f"similarity is {given!r}; write a cosine from 0 to 1, such as 0.95")
    return float(given)


def own_tier(size: int | str, named: TierSpec | None) -> TierSpec:
    """The memory's tier; what its layer says goes before what is said beside the layers."""
    own = TierSpec("memory", "memory:", None, size_bytes("memory", size), 1.0)
    if named is None:
        return own
    return own._replace(ttl=named.ttl, size=own.size if named.size is None else named.size)


def days(given: int) -> int:
    """How many days one wants to hear of, today among them."""
    if type(given) is not int or not 1 <= given <= MOST_DAYS:
        raise ConfigError(f"days is {given!r}; write a number from 1 to {MOST_DAYS}")
    return given
