"""The provider rules that ship with AskOnce, with those of the user laid over them."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from askonce.core.errors import ConfigError
from askonce.prompts.provider.rules import RuleBook


def load_rules(overrides: Iterable[Path] = ()) -> RuleBook:
    """All rules, read from the package and then from these files of the user's.

    Raises ConfigError naming the file that cannot be read or is not right.
    """
    folder = files("askonce.prompts").joinpath("rules")
    shipped = {
        one.name: one.read_text(encoding="utf-8")
        for one in sorted(folder.iterdir(), key=lambda one: one.name)
        if one.name.endswith(".toml")
    }
    return RuleBook.read(shipped, {str(path): _text(path) for path in overrides})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the rules cannot be read ({error}).") from None
