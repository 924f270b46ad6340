"""What answers cost, by the offline price tables of `genai-prices`.

The library is an extra and is imported on first use. Without it, for a model it does not know, and
for a usage that contradicts itself (more read from a cache than was sent), an answer is unpriced
(None), which is not zero.
"""

from decimal import Decimal
from typing import Any

from askonce.core.models import Usage

WRITE, WRITE_1H, WRITE_12H = Decimal("1.25"), Decimal(2), Decimal("2.5")
"""What writing into a prompt cache costs, of the input's price, by how long it is kept: for 5 or 30
minutes, an hour, 12 hours. Anthropic and OpenAI, November 2026. The tables of genai-prices 0.2
have no unit for 12 hours, and one for an hour only where the provider is Anthropic."""


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
        longer = usage.cache_write_1h_tokens + usage.cache_write_12h_tokens
        if not 0 <= longer <= max(0, usage.cache_write_tokens):
            return None
        try:
            price = self._price(model, origin, usage)
            total: Decimal = price.total_price
            if longer:
                total += self._surcharge(model, origin, usage, price.model_price)
        except LookupError:
            if len(self._unknown) < 10_000:
                self._unknown.add((model, origin))
            return None
        except ValueError:
            return None  # such numbers have no price
        return total

    def _price(self, model: str, origin: str, usage: Usage) -> Any:
        """What the library says. Raises LookupError, ValueError."""
        counted = self._library.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
            cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        )
        try:
            return self._library.calc_price(counted, model_ref=model, provider_api_url=origin)
        except LookupError:
            return self._library.calc_price(counted, model_ref=model)

    def _surcharge(self, model: str, origin: str, usage: Usage, table: Any) -> Decimal:
        """What the library leaves out of a price, where it has one for writing at all."""
        if getattr(table, "cache_write_mtok", None) is None or not usage.input_tokens:
            return Decimal(0)
        plain = self._price(model, origin, Usage(input_tokens=usage.input_tokens))
        each: Decimal = plain.input_price / usage.input_tokens
        more = usage.cache_write_12h_tokens * (WRITE_12H - WRITE)
        if getattr(table, "cache_write_1h_mtok", None) is None:
            more += usage.cache_write_1h_tokens * (WRITE_1H - WRITE)
        return each * more
