"""A flavor: what the doors of one way to run go through, blocking or suspending."""

from typing import TYPE_CHECKING

from askonce.core.rules.rules import Ruleset
from askonce.pipeline.context import Context
from askonce.pipeline.functions import Remembering
from askonce.pipeline.pipeline import Answering
from askonce.pipeline.recognition import Recognition
from askonce.pipeline.texts import Texts

if TYPE_CHECKING:
    from askonce.semantic.lookup import Neighbors


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
