"""Sharing: how the processes of one store get on with each other."""

from typing import Literal


class SharingSettings:
    """How processes share: seconds that a lease lasts and that one waits for it, and how strictly
    invalidations of others are looked for."""

    def __init__(
        self,
        *,
        consistency: Literal["eventual", "strong"] = "eventual",
        lease: float = 5.0,
        wait: float = 20.0,
    ) -> None:
        self.strong = consistency == "strong"
        self.lease = lease
        self.wait = wait
