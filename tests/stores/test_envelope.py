"""The envelope's values: what no cache writes is damage, however well it is sealed."""

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.errors import EntryDamaged
from askonce.core.models import Entry, Key
from askonce.core.response_headers import cleaned, is_clean
from askonce.stores.envelope import seal, unseal

KEY = Key("team-a", "openai_chat", bytes(32))
ENTRY = Entry(
    KEY, b"{}", 200, (("openai-model", "m"),), 1_000_000.0, 1_086_400.0, 1_086_400.0,
    cost_usd=Decimal("0.01"), latency_ms=12.5,
)  # fmt: skip


@pytest.mark.parametrize(
    "forged",
    [
        {"status": 999},
        {"status": 0},
        {"status": 101},
        {"status": -200},
        {"expires": math.inf},
        {"expires": math.nan},
        {"stale_until": math.inf},
        {"created": -math.inf},
        {"created": 1e300},
        {"latency_ms": math.nan},
        {"cost_usd": Decimal("NaN")},
        {"cost_usd": Decimal("Infinity")},
        {"headers": (("openai-model", "m\r\nset-cookie: a=b"),)},
        {"headers": (("openai-model", "m\n"),)},
        {"headers": (("openai-model", "m\x00"),)},
        {"headers": (("openai-model", " m"),)},
        {"headers": (("openai-model", "\u2603"),)},
        {"headers": (("open ai", "m"),)},
        {"headers": (("a:b", "m"),)},
        {"headers": (("", "m"),)},
        {"headers": (("Upper", "m"),)},
    ],
)
def test_forged_values_are_damage(forged: dict[str, Any]) -> None:
    blob = seal(msgspec.structs.replace(ENTRY, **forged))
    with pytest.raises(EntryDamaged):
        unseal(blob, KEY)


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"status": 404},
        {"created": 0.0, "expires": 1e11, "stale_until": 1e11},
        {"headers": (("openai-model", ""), ("x-a", "caf\xe9\tau lait"))},
        {"cost_usd": None},
    ],
)
def test_values_that_a_cache_writes_are_none(right: dict[str, Any]) -> None:
    entry = msgspec.structs.replace(ENTRY, **right)
    assert unseal(seal(entry), KEY) == entry


@given(st.text())
def test_a_cleaned_header_can_be_written(value: str) -> None:
    clean = cleaned(value)
    assert is_clean(clean)
    assert cleaned(clean) == clean
    clean.encode("latin-1")
    assert not any(ord(sign) < 32 and sign != "\t" for sign in clean)
    if is_clean(value):
        assert clean == value
