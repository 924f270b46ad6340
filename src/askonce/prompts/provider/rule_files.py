"""The files of provider rules: those that ship with AskOnce, overridden by the user's own."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from askonce.core.errors import ConfigError
from askonce.prompts.provider.rules import RuleBook


def load_rules(overrides: Iterable[Path] = ()) -> RuleBook:
    """Read the rules of the package, and then the user's own files.

    Raises ConfigError that names the file if it cannot be read or is invalid.
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
