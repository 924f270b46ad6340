"""One field of a struct is one setting: in the loader, the printer, the environment, the docs."""

from datetime import timedelta
from inspect import signature
from typing import Annotated, Any

import msgspec
import pytest
from scripts import settings as pages

import askonce
from askonce.config import settings as tables
from askonce.config.load import load
from askonce.config.settings import NAMED, TABLES, Settings
from askonce.config.show import masked, show
from askonce.core.errors import ConfigError
from askonce.core.policy import Limits
from askonce.core.settings_table import (
    Duration,
    PositiveBytes,
    Secret,
    from_argument,
    settings_of,
    shown,
    with_values,
)
from askonce.library import arguments
from askonce.stores.tiered.layers import SharingSettings


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the table."""

    wait: Annotated[Duration, "how long to wait"] = msgspec.field(
        default=timedelta(seconds=1), name="inner_wait"
    )


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A table with a key of every sort."""

    size: Annotated[PositiveBytes, "how large"] = 1024
    loud: Annotated[bool, 'true, or the word "false"'] = False
    secret: Annotated[Secret | None, "never printed"] = None
    inner: Inner = Inner()
    not_a_setting: int = 3


def test_a_new_field_is_read_printed_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    class GrownLog(tables.Log, frozen=True, kw_only=True):
        """The log with one more field."""

        flush: Annotated[Duration, 'how long lines may wait; "0s": not at all'] = timedelta(0)

    class GrownSettings(Settings, frozen=True, kw_only=True):
        """The settings with that log."""

        log: tables.Log = GrownLog()

    monkeypatch.setitem(TABLES, "log", GrownLog)
    for module in ("askonce.config.load", "scripts.settings"):
        monkeypatch.setattr(f"{module}.Settings", GrownSettings)

    settings = load('[log]\nflush = "2s"', {})
    assert getattr(settings.log, "flush") == timedelta(seconds=2)  # noqa: B009 - a new field
    assert 'flush = "2s"' in show(settings)
    assert masked(load("", {"ASKONCE_LOG__FLUSH": "1m"}))["log"]["flush"] == "1m"
    with pytest.raises(ConfigError, match=r"log\.flush is not a duration"):
        load('[log]\nflush = "soon"', {})
    row = '| `log.flush` | `"0s"` | how long lines may wait; `"0s"`: not at all |\n'
    assert row in pages.with_tables(pages.KEYS + "\n" + pages.OPTIONAL_KEYS)
    example = pages.EXAMPLE.read_text(encoding="utf-8")
    assert 'flush = "0s"                   # how long lines may wait' in pages.with_defaults(
        example
    )


def test_the_pages_hold_what_the_structs_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert pages.main(["--check"]) == 0, capsys.readouterr().out


def test_a_page_that_differs_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "key_rows", lambda: iter(["| `cache.else` | `1` | other |\n"]))

    assert pages.main(["--check"]) == 1
    assert "configuration.md differs from the settings" in capsys.readouterr().out


def test_every_kind_prints_what_it_reads() -> None:
    for section, table in TABLES.items():
        for key, setting in settings_of(table).items():
            if section not in NAMED and setting.default is not None:
                value = settings_value(Settings(), section, setting.path)
                written = setting.kind.show(value)
                assert setting.kind.read(written) == value, (section, key)


def settings_value(settings: Settings, section: str, path: tuple[str, ...]) -> Any:
    value = getattr(settings, section)
    for name in path:
        value = getattr(value, name)
    return value


def test_a_struct_inside_adds_its_keys_and_other_fields_are_none() -> None:
    assert list(settings_of(Example)) == ["size", "loud", "secret", "inner_wait"]
    assert shown(Example()) == {"size": "1 KiB", "loud": False, "inner_wait": "1s"}
    changed = with_values(Example(), {"inner_wait": timedelta(hours=1), "size": 5})
    assert changed == Example(size=5, inner=Inner(wait=timedelta(hours=1)))
    assert shown(Example(secret="a-secret-of-twenty-letters"))["secret"] == "***ters"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "it is not an askonce.Example; write its secret as a text"),
        ({"siez": 1}, """it: 'siez' is not a key; did you mean "size"?"""),
        ({"size": "0 B"}, "it: size must be above zero"),
    ],
)
def test_a_wrong_argument_is_one_sentence(given: object, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_argument("it", Example, "secret", given)
    assert str(raised.value).startswith(said)


def test_an_argument_is_a_word_a_mapping_or_the_struct() -> None:
    assert from_argument("it", Example, "secret", "x") == Example(secret="x")
    assert from_argument("it", Example, "secret", {"loud": "true"}) == Example(loud=True)
    assert from_argument("it", Example, "secret", {"secret": None}) == Example()


def test_a_field_without_a_kind_is_refused() -> None:
    class Wrong(msgspec.Struct):
        """A table whose field cannot be read."""

        number: Annotated[complex, "no setting"] = 0j

    with pytest.raises(TypeError, match=r"Wrong\.number has no SettingKind"):
        settings_of(Wrong)


def test_the_library_s_defaults_are_those_of_the_limits() -> None:
    defaults = {name: one.default for name, one in signature(askonce.Cache).parameters.items()}
    limits = {key: defaults[key] for key in settings_of(Limits) if key in defaults}
    assert arguments.limits(**limits) == Limits()
    sharing = (defaults[key] for key in settings_of(SharingSettings))
    assert arguments.sharing(*sharing) == SharingSettings()
