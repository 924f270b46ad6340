"""A flavor: what the doors of one way to run go through, blocking or suspending."""

from typing import TYPE_CHECKING

from askonce.core.rules.ruleset import Ruleset
from askonce.pipeline.context import Context
from askonce.pipeline.functions import MemoizedFunctions
from askonce.pipeline.pipeline import Pipeline
from askonce.pipeline.recognition import Recognition
from askonce.pipeline.texts import Texts

if TYPE_CHECKING:
    from askonce.semantic.lookup import SemanticLookup


class Services:
    """What the doors of one flavor go through."""

    def __init__(
        self,
        context: Context,
        recognition: Recognition,
        rules: Ruleset | None,
        lookup: "SemanticLookup | None",
    ) -> None:
        self.context = context
        self.tiers = context.tiers
        self.answering = Pipeline(context, recognition, lookup)
        self.texts = Texts(context, rules, lookup)
        self.remembering = MemoizedFunctions(context)
