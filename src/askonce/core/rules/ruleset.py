"""Rules that are ready to decide: a root, because only here do they meet RE2."""

from askonce.core.errors import ConfigError
from askonce.core.rules.re2 import compiled
from askonce.core.rules.rules import Rules, Ruleset


def compiled_rules(rules: Rules) -> Ruleset:
    """Rules that are ready to decide. Raises `ConfigError` for a pattern that is none."""
    if not isinstance(rules, Rules):
        raise ConfigError("rules are no askonce.Rules; write Rules().after('price', '5m')")
    return Ruleset(rules, compiled)
