"""What answers cost, by the offline price tables of `genai-prices`.

The library is an extra and is imported on first use. Without it, and for a model it does not
know, an answer is unpriced (None), which is not zero.
"""

from decimal import Decimal
from typing import Any

from askonce.records import Usage


class GenaiPrices:
    """Prices from `genai-prices`; every model it does not know is asked for once."""

    def __init__(self) -> None:
        self._library: Any = None
        self._missing = False
        self._unknown: set[tuple[str, str]] = set()

    def load(self) -> bool:
        """Import the library, which takes a moment; False where it is not installed."""
        if self._library is None and not self._missing:
            try:
                import genai_prices
            except ImportError:
                self._missing = True
            else:
                self._library = genai_prices
        return self._library is not None

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        """US dollars for one answer, or None where the price is not known."""
        if (model, origin) in self._unknown or not self.load():
            return None
        counted = self._library.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
        )
        try:
            price = self._library.calc_price(counted, model_ref=model, provider_api_url=origin)
        except LookupError:
            try:
                price = self._library.calc_price(counted, model_ref=model)
            except LookupError:
                if len(self._unknown) < 10_000:
                    self._unknown.add((model, origin))
                return None
        total: Decimal = price.total_price
        return total
