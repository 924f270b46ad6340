"""What one input token of a model costs, for those who count tokens instead of answers."""

from decimal import Decimal

from askonce.core.models import Usage
from askonce.ledger.prices import GenaiPrices

_SAMPLE = 10_000  # tokens; longer prompts can be of a dearer tier


class TokenPrices:
    """Prices of single tokens, by the offline price tables; each model is looked up once."""

    def __init__(self) -> None:
        self._prices = GenaiPrices()
        self._known: dict[tuple[str, str], Decimal | None] = {}

    def input_token(self, provider: str, model: str) -> Decimal | None:
        """US dollars for one token that no cache is asked for; None where that is not known."""
        if not model:
            return None
        key = provider, model
        if key not in self._known:
            usage = Usage(input_tokens=_SAMPLE, output_tokens=0)
            cost = self._prices.cost(model, provider, usage)
            self._known[key] = None if cost is None else cost / _SAMPLE
        return self._known[key]
