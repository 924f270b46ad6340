"""Entries know the version of their key: what a store wrote before keys had version 2."""

import hashlib

import msgspec
import pytest

from askonce.core.errors import EntryDamaged
from askonce.core.keys import VERSION as KEY_VERSION_BYTES
from askonce.core.models import KEY_VERSION, Entry, Key
from askonce.stores.envelope import VERSION, seal, unseal

ENTRY = Entry(Key("team-a", "openai_chat", bytes(32)), b"{}", 200, (), 1.0, 2.0, 2.0)


def envelope(version: int) -> bytes:
    """Seal the entry as an AskOnce wrote it whose entries did not know the version of their key."""
    fields = msgspec.to_builtins(ENTRY, builtin_types=(bytes,))
    del fields["key_version"]
    sealed = b"AskE" + bytes((version, 0)) + msgspec.msgpack.encode(fields)
    return sealed + hashlib.blake2b(sealed, digest_size=16).digest()


def test_an_entry_of_the_first_format_is_under_an_older_key() -> None:
    read = unseal(envelope(1), ENTRY.key)
    assert read.key_version == 1
    assert not read.is_findable
    assert msgspec.structs.replace(read, key_version=KEY_VERSION) == ENTRY


def test_the_version_of_the_key_survives_a_move() -> None:
    old = unseal(envelope(1), ENTRY.key)
    assert unseal(seal(old), ENTRY.key) == old
    assert unseal(seal(ENTRY), ENTRY.key) == ENTRY
    assert ENTRY.is_findable


@pytest.mark.parametrize("version", [0, VERSION + 1])
def test_any_other_format_is_damage(version: int) -> None:
    with pytest.raises(EntryDamaged, match="format"):
        unseal(envelope(version), ENTRY.key)


def test_the_key_hashes_the_version_that_entries_carry() -> None:
    assert b"askonce-key-%d" % KEY_VERSION == KEY_VERSION_BYTES == b"askonce-key-2"
