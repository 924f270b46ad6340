"""Cache the results of a function that returns plain data, sync or async."""

import asyncio
from dataclasses import dataclass

from askonce import AsyncCache, Cache


@dataclass
class Weather:
    city: str
    degrees: float


with Cache() as cache:

    @cache.remember(ttl="1m", tags=["weather"])
    def weather(city: str) -> Weather:
        print(f"  (asking the weather service about {city})")
        return Weather(city, 21.5)

    print("Twice:", weather("Zürich"), weather("Zürich"), sep="\n  ")
    cache.invalidate(tags=["weather"])
    print("After its tag was invalidated:", weather("Zürich"), sep="\n  ")


async def main() -> None:
    async with AsyncCache() as cache:

        @cache.remember()
        async def translate(text: str, *, language: str = "de") -> str:
            print("  (translating)")
            await asyncio.sleep(0.1)
            return {"Hello": "Hallo"}[text]

        print("Five at once:", *await asyncio.gather(*[translate("Hello") for _ in range(5)]))


asyncio.run(main())
