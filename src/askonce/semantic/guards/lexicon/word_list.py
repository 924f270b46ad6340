"""Word lists written as text, which reads better than a thousand quotation marks."""


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


def groups_of(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of each group of a text; commas separate the groups."""
    return tuple(tuple(group.split()) for group in text.split(","))
