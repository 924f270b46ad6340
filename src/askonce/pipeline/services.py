"""The services of one mode: the request pipeline, and its siblings for texts and functions."""

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
    """What the front ends of one mode (sync or async) call.

    Args:
        context: What all requests of the mode share.
        recognition: Recognizes the calls; both modes share it.
        rules: The user's rules; None if there are none.
        lookup: Finds answers by meaning; None if the cache does not.
    """

    def __init__(
        self,
        context: Context,
        recognition: Recognition,
        rules: Ruleset | None,
        lookup: "SemanticLookup | None",
    ) -> None:
        self.context = context
        self.tiers = context.tiers
        self.pipeline = Pipeline(context, recognition, lookup)
        self.texts = Texts(context, rules, lookup)
        self.functions = MemoizedFunctions(context)
