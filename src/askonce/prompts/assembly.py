"""The optimizer of prompts, for both flavors: the rules that ship, and the user's patterns.

A composition root, as `semantic_rack.py` is for matching by meaning.
"""

import functools
from pathlib import Path

from askonce.core.protocols import Prices
from askonce.core.rules.re2 import compiled
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.core.runtime.threads import SyncRuntime
from askonce.ledger.ledger import Ledger
from askonce.prompts.optimizer.optimizer import Optimizer
from askonce.prompts.prefix_lock import PrefixLock
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import RuleBook
from askonce.prompts.settings import Prompts
from askonce.prompts.upstream import PromptService


class PromptAssembly:
    """What both flavors share: what was learned, and which prefixes are being written."""

    def __init__(self, prompts: Prompts, runtime: SyncRuntime) -> None:
        """Raises ConfigError for a pattern that is none, and for a wrong file of rules."""
        self.prompts = prompts
        finders = [compiled(pattern) for pattern in prompts.volatile]
        rules = load_rules(map(Path, prompts.rules)) if prompts.rules else shipped_rules()
        self.optimizer = Optimizer(rules, prompts.level, finders)
        self._lock = runtime.lock()
        self._warming = PrefixLock(runtime.lock())

    def prompting(
        self, runtime: SyncRuntime | AsyncRuntime, ledger: Ledger, prices: Prices | None
    ) -> PromptService:
        """The optimizer in one flavor."""
        return PromptService(
            self.optimizer,
            self._warming,
            self._lock,
            hold=self.prompts.hold.total_seconds(),
            runtime=runtime,
            ledger=ledger,
            prices=prices,
        )


@functools.cache
def shipped_rules() -> RuleBook:
    """The rules of the package, read once in a process."""
    return load_rules()
