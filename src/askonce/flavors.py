"""A flavor: what the doors of one way to run go through, blocking or suspending."""

from typing import TYPE_CHECKING

from askonce.answering import Answering
from askonce.context import Context
from askonce.recognizing import Recognition
from askonce.remembering import Remembering
from askonce.rules import Ruleset
from askonce.texts import Texts

if TYPE_CHECKING:
    from askonce.neighbors import Neighbors


class Flavor:
    """What the doors of one flavor go through."""

    def __init__(
        self,
        context: Context,
        recognition: Recognition,
        rules: Ruleset | None,
        neighbors: "Neighbors | None",
    ) -> None:
        self.context = context
        self.tiers = context.tiers
        self.answering = Answering(context, recognition, neighbors)
        self.texts = Texts(context, rules, neighbors)
        self.remembering = Remembering(context)
