"""Numbers in words, multiples, Roman numerals, and units with their dimension and size."""

NUMBER_WORDS: dict[str, int] = {
    word: number
    for number, line in (
        (0, "zero"), (1, "one first"), (2, "two second"), (3, "three third"), (4, "four fourth"),
        (5, "five fifth"), (6, "six sixth"), (7, "seven seventh"), (8, "eight eighth"),
        (9, "nine ninth"), (10, "ten tenth"), (11, "eleven"), (12, "twelve dozen"),
        (13, "thirteen"), (14, "fourteen"), (15, "fifteen"), (16, "sixteen"), (17, "seventeen"),
        (18, "eighteen"), (19, "nineteen"), (20, "twenty"), (30, "thirty"), (40, "forty"),
        (50, "fifty"), (60, "sixty"), (70, "seventy"), (80, "eighty"), (90, "ninety"),
    )
    for word in line.split()
}  # fmt: skip

MULTIPLES: dict[str, int] = {
    "hundred": 100, "thousand": 1000, "k": 1000, "lakh": 100_000, "lakhs": 100_000, "lac": 100_000,
    "million": 1_000_000, "m": 1_000_000, "mn": 1_000_000, "crore": 10_000_000,
    "crores": 10_000_000, "billion": 10**9, "bn": 10**9, "trillion": 10**12,
}  # fmt: skip

ROMANS: dict[str, int] = {
    "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10, "xi": 11,
    "xii": 12, "xiii": 13, "xiv": 14, "xv": 15, "xvi": 16, "xvii": 17, "xviii": 18,
    "xix": 19, "xx": 20,
}  # fmt: skip

UNITS: dict[str, tuple[str, float]] = {
    word: (dimension, factor)
    for dimension, factor, words in (
        ("time", 1e-3, "ms millisecond milliseconds"),
        ("time", 1, "s sec secs second seconds"),
        ("time", 60, "min mins minute minutes"),
        ("time", 3600, "h hr hrs hour hours"),
        ("time", 86_400, "day days"),
        ("time", 604_800, "week weeks"),
        ("time", 2_629_800, "month months"),
        ("time", 31_557_600, "year years yr yrs"),
        ("mass", 1e-6, "mcg microgram micrograms"),
        ("mass", 1e-3, "mg milligram milligrams"),
        ("mass", 1, "g gram grams gm gms"),
        ("mass", 1000, "kg kgs kilogram kilograms kilo kilos"),
        ("mass", 453.592, "lb lbs"),
        ("mass", 28.3495, "oz ounce ounces"),
        ("mass", 1e6, "ton tons tonne tonnes"),
        ("length", 1e-9, "nm"),
        ("length", 1e-3, "mm millimeter millimeters"),
        ("length", 1e-2, "cm centimeter centimeters"),
        ("length", 1, "meter meters metre metres"),
        ("length", 1000, "km kms kilometer kilometers kilometre kilometres"),
        ("length", 0.0254, "inch inches"),
        ("length", 0.3048, "ft foot feet"),
        ("length", 0.9144, "yard yards"),
        ("length", 1609.344, "mile miles"),
        ("volume", 1e-3, "ml milliliter milliliters"),
        ("volume", 1, "l liter liters litre litres"),
        ("volume", 3.78541, "gallon gallons"),
        ("data", 1e3, "kb"),
        ("data", 1e6, "mb"),
        ("data", 1e9, "gb gigabytes"),
        ("data", 1e12, "tb"),
        ("frequency", 1e6, "mhz"),
        ("frequency", 1e9, "ghz"),
        ("power", 1, "w watt watts"),
        ("power", 1000, "kw"),
        ("voltage", 1, "v volt volts"),
        ("charge", 1, "mah"),
        ("speed", 1, "mph"),
        ("speed", 0.621371, "kmh kph"),
        ("percent", 1, "% percent percentage"),
        ("celsius", 1, "°c celsius centigrade"),
        ("fahrenheit", 1, "°f fahrenheit"),
        ("degrees", 1, "° degree degrees"),
        ("usd", 1, "$ dollar dollars usd bucks"),
        ("eur", 1, "€ euro euros eur"),
        ("gbp", 1, "£ gbp"),
        ("inr", 1, "₹ rs rupee rupees inr"),
        ("jpy", 1, "¥ yen jpy"),
    )
    for word in words.split()
}
