"""Sharing settings: how the processes that use one store coordinate."""

from typing import Annotated, Literal

import msgspec

from askonce.core.settings_table import PositiveSeconds, Seconds


class SharingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How processes coordinate: the lease of the one that asks, and how invalidations are read.

    Parameters:
        consistency: `eventual` applies other processes' invalidations within a second, `strong`
            checks them on every read of a tagged entry.
        lease: seconds after which a process that died while asking is replaced.
        wait: seconds that a process waits for another process's answer.
    """

    consistency: Annotated[
        Literal["eventual", "strong"],
        'other processes\' invalidations apply within 1 s; "strong": at once',
    ] = "eventual"
    lease: Annotated[PositiveSeconds, "how soon a process that dies while asking is replaced"] = 5.0
    wait: Annotated[Seconds, "how long to wait for another process's answer"] = msgspec.field(
        default=20.0, name="lease_wait"
    )

    @property
    def strong(self) -> bool:
        """Whether every read of a tagged entry checks for invalidations."""
        return self.consistency == "strong"
