"""The assembly of the optimizer: the shipped rules, the user's own, and the volatile patterns."""

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
from askonce.prompts.upstream import PromptOptimization


class PromptAssembly:
    """What the sync and the async mode share: the optimizer, and the prefixes being written.

    Raises ConfigError for an invalid pattern and for an invalid file of rules.
    """

    def __init__(self, prompts: Prompts, runtime: SyncRuntime) -> None:
        self.prompts = prompts
        patterns = [compiled(pattern) for pattern in prompts.volatile]
        rules = load_rules(map(Path, prompts.rules)) if prompts.rules else shipped_rules()
        self.optimizer = Optimizer(rules, prompts.level, patterns)
        self._lock = runtime.lock()
        self.prefix_lock = PrefixLock(runtime.lock())

    def optimization(
        self, runtime: SyncRuntime | AsyncRuntime, ledger: Ledger, prices: Prices | None
    ) -> PromptOptimization:
        """Return the optimizer as one mode's pipeline uses it."""
        return PromptOptimization(
            self.optimizer,
            self.prefix_lock,
            self._lock,
            hold=self.prompts.hold.total_seconds(),
            runtime=runtime,
            ledger=ledger,
            prices=prices,
        )


@functools.cache
def shipped_rules() -> RuleBook:
    """Return the rules of the package, which are read once in a process."""
    return load_rules()
