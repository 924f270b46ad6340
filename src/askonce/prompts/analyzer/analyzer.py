"""The analyzer: a whole log of requests against the rules of their providers' prompt caches.

One pass, in the order of time. For each request it finds the earlier one that it should have
followed (the previous turn of its conversation, else the prompt that shares most of its beginning,
else the last one of its family), says where and why both part, what the provider's rules make of
it as it was sent, and what the best markers could have made of it.
"""

from decimal import Decimal
from typing import NamedTuple

from askonce.formats.usage import ReportedUsage, read_usage
from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.divergence import diverge
from askonce.prompts.analyzer.families import Families
from askonce.prompts.analyzer.findings import Finding, LossEvent
from askonce.prompts.analyzer.hindsight import Hindsight, SeenPrefix
from askonce.prompts.analyzer.log_lines import BadLine, LogLine, read_line
from askonce.prompts.analyzer.log_order import LogOrder
from askonce.prompts.analyzer.log_routes import LogRoute, LogRoutes
from askonce.prompts.analyzer.predecessors import Predecessor, Predecessors
from askonce.prompts.analyzer.prompt_shapes import PromptShape, PromptShaper, Side
from askonce.prompts.analyzer.rule_causes import Entries, missed_by_rule, write_price
from askonce.prompts.analyzer.simulated_prompts import ask_of_shape
from askonce.prompts.analyzer.text_diff import first_difference
from askonce.prompts.analyzer.trie import PrefixTrie, TrieTexts
from askonce.prompts.provider.rules import ProviderRule, RuleBook
from askonce.prompts.provider.tokens import TokenCounter, TokenRate
from askonce.prompts.requests.render import render
from askonce.prompts.requests.segments import Rendered, Segment
from askonce.prompts.simulator import Fate, SimulatedRequest, Simulator

LEAST = 48
"""From how many tokens on something that was lost is worth telling."""

_LEAST_FRAME = 256
"""From how many tokens on the same words around a stamp are a frame and not a question."""

_FRAME = 600  # bytes at its end
_STAMPS = {Cause.DATE, Cause.UUID, Cause.REQUEST_ID}
_MOST_BAD = 1_000
_ELSEWHERE = "lies at the provider"
_FIRST_BYTE = 1.0  # seconds after which an answer begins, where a log does not say


class Waiting(NamedTuple):
    """A line that was read and waits for its turn."""

    ts: float
    number: int
    duration: float | None
    line: LogLine
    rendered: Rendered
    rule: ProviderRule | None
    usage: ReportedUsage | None


class Analysis:
    """Takes the log line by line; after `finish`, its members hold what there is to tell."""

    def __init__(self, book: RuleBook) -> None:
        self.routes = LogRoutes()
        self.findings: dict[tuple[int, Cause], Finding] = {}
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.lines = 0
        self.requests = 0
        self._hindsight = Hindsight()
        self._book = book
        self._counter = TokenCounter()
        self._rates: dict[str, TokenRate] = {}
        self._order: LogOrder[Waiting] = LogOrder()
        self._families = Families()
        self._shaping = PromptShaper()
        self._trie = PrefixTrie()
        self._texts = TrieTexts()
        self._neighbors = Predecessors()
        self._simulators: dict[str, Simulator] = {}
        self._entries = Entries()
        self._instructions: set[int] = set()
        self._now = 0.0

    # Reading

    def take(self, data: bytes) -> None:
        """The next line of the log."""
        self.lines += 1
        line, bad = read_line(data, self.lines)
        if bad is not None:
            self.complain(bad)
        if line is None:
            return
        waiting = self._prepared(line)
        back = self._order.went_back(waiting)
        if back:
            self.complain(BadLine(line.number, f"its clock is {back:.1f} s behind", used=True))
        for one in self._order.push(waiting, len(data)):
            self._follow(one)

    def finish(self) -> None:
        """No more lines: work out what only the whole log tells."""
        for one in self._order.rest():
            self._follow(one)
        rules = [route.rule for route in self.routes.all]
        for route, best in zip(self.routes.all, self._hindsight.best(rules), strict=True):
            route.settle(best)
        self._drop_doubtful()

    def complain(self, bad: BadLine) -> None:
        self.bad_count += 1
        if len(self.bad) < _MOST_BAD:
            self.bad.append(bad)

    def _prepared(self, line: LogLine) -> Waiting:
        known = self._book.provider(line.provider) or self._book.provider(line.origin)
        rule = None if known is None else self._book.rule(known, line.model)
        rendered = render(line.request, line.api, rule=rule, model=line.model)
        usage = read_usage(line.response, line.api, known or line.provider)
        if usage is not None:
            if usage.faults:
                self.complain(BadLine(line.number, f"usage: {usage.faults[0]}", used=True))
            size = sum(len(segment.data) for segment in rendered.segments)
            self._counter.learn(rendered.model, size, usage.input_total)
        bare = line.without_bodies()
        return Waiting(line.ts, line.number, line.duration, bare, rendered, rule, usage)

    # Following

    def _follow(self, one: Waiting) -> None:
        """Compare one request with those before it."""
        line, rendered, rule = one.line, one.rendered, one.rule
        scope = f"{line.tenant or ''}\x1f{line.provider}\x1f{line.api}"
        segments, instructions = _without_turn_scoped(rendered, rule)
        family = self._families.family(f"{line.provider}\x1f{line.api}", rendered.segments)
        route = self.routes.route(line.provider, line.api, rendered, family, rule)
        self.requests += 1
        shape, text, rest = self._shaped(one, scope, family, segments, instructions)
        number = self._neighbors.next_number
        nodes = self._trie.nodes(scope, text)
        match = self._trie.visit(nodes, number)
        seen = self._hindsight.visit(shape, number, route.number, rule)
        ask = ask_of_shape(shape, rendered, segments, nodes, one.duration, rule)
        fate = self._simulated(scope, ask, rule, shape, rest)
        route.count(one.usage, fate)
        near = self._neighbors.of(shape, scope, seen, match)
        shape.text = self._kept(text, near)
        self._neighbors.add(shape, scope)
        if not any(doubt.endswith(_ELSEWHERE) for doubt in rendered.doubts):
            self._look_for_causes(route, shape, text, near, seen, ask, fate)
        if rule is not None and rule.matching == "breakpoint":
            self._entries.note(shape, ask, rule)
        if instructions is not None:
            self._look_at_instructions(route, shape, scope, instructions, rest)

    def _shaped(
        self,
        one: Waiting,
        scope: str,
        family: int,
        segments: tuple[Segment, ...],
        instructions: Segment | None,
    ) -> tuple[PromptShape, bytes, int]:
        """The prompt's shape and text, and the tokens of turn-scoped instructions behind it."""
        model = one.rendered.model
        rate = self._rates.get(model)
        if rate is None:
            rate = self._rates[model] = self._counter.rate(model)
        self._now = ts = max(self._now, one.ts)
        wait = _FIRST_BYTE if one.duration is None else min(one.duration, _FIRST_BYTE)
        shape = PromptShape(one.number, ts, ts + wait, one.line.session, family)
        ends = rate.cumulative(len(segment.data) for segment in segments)
        text = self._shaping.shape(shape, segments, ends, scope)
        return shape, text, 0 if instructions is None else rate.tokens(len(instructions.data))

    def _simulated(
        self,
        scope: str,
        ask: SimulatedRequest,
        rule: ProviderRule | None,
        shape: PromptShape,
        rest: int,
    ) -> Fate:
        if rule is None:
            return Fate(uncached=shape.total + rest)
        key = f"{scope}\x1f{rule.models[0]}"
        simulator = self._simulators.get(key)
        if simulator is None:
            simulator = self._simulators[key] = Simulator(rule)
        fate = simulator.ask(ask)
        return Fate(fate.read, fate.written, fate.uncached + rest) if rest else fate

    def _kept(self, text: bytes, near: Predecessor | None) -> int:
        """Keep the text, as what it does not share with its neighbor's."""
        if near is None:
            return self._texts.add(text)
        shared = near.shape.ends[near.block - 1] if near.block else 0
        return self._texts.add(text, near.shape.text, shared)

    # Causes

    def _look_for_causes(
        self,
        route: LogRoute,
        shape: PromptShape,
        text: bytes,
        near: Predecessor | None,
        seen: SeenPrefix | None,
        ask: SimulatedRequest,
        fate: Fate,
    ) -> None:
        rule = route.rule
        event = None if near is None else self._divergence(shape, text, near, rule, fate)
        if event is not None:
            self._found(route, event)
            if event.cachable:
                route.misplaced += event.lost
                return
        if rule is None or seen is None:
            return
        missed = missed_by_rule(
            shape, ask, rule, seen=seen, fate=fate, entries=self._entries,
            earlier_line=self._neighbors[seen.visitor].line,
        )  # fmt: skip
        if missed is not None and missed.lost >= LEAST:
            self._found(route, missed)

    def _divergence(
        self,
        shape: PromptShape,
        text: bytes,
        near: Predecessor,
        rule: ProviderRule | None,
        fate: Fate,
    ) -> LossEvent | None:
        """Where a request parts from the one that it should have followed."""
        other, block = near.shape, near.block
        if block >= len(shape) or (block >= len(other) and near.is_turn):
            return None
        fresh = not near.is_turn and block >= min(shape.head, other.head)
        if fresh and (block >= len(other) or shape.tokens_of(block) < _LEAST_FRAME):
            return None
        a, b = Side(other, self._texts[other.text]), Side(shape, text)
        if fresh and a.data(block)[-_FRAME:] != b.data(block)[-_FRAME:]:
            return None  # another question
        found = diverge(a, b, block)
        if fresh and (found.cause not in _STAMPS or found.lost < _LEAST_FRAME):
            return None
        if found.lost < LEAST or (
            found.cause is Cause.APPENDED and (rule is None or rule.matching != "breakpoint")
        ):
            return None
        least = 0 if rule is None else rule.min_tokens
        data_a = a.data(block) if block < len(other) else b""
        data_b = b.data(block)
        return LossEvent(
            cause=found.cause,
            confidence=found.confidence,
            pointer=found.pointer,
            lost=found.lost,
            line=shape.line,
            earlier_line=other.line,
            a=found.a,
            b=found.b,
            at=found.at,
            byte=first_difference(data_a, data_b),
            token=shape.before(block),
            write=write_price(rule, fate),
            cachable=shape.before(block) + found.lost >= least,
        )

    def _look_at_instructions(
        self, route: LogRoute, shape: PromptShape, scope: str, instructions: Segment, tokens: int
    ) -> None:
        """Instructions that the provider reads anew with every turn, sent once more."""
        known = hash((scope, instructions.data))
        if known in self._instructions and tokens >= LEAST:
            event = LossEvent(
                cause=Cause.INSTRUCTIONS,
                confidence=0.7,
                pointer=instructions.pointer,
                lost=tokens,
                line=shape.line,
                b=instructions.data[:400].decode(errors="replace"),
                token=shape.total,
            )
            self._found(route, event)
            route.misplaced += tokens
        self._instructions.add(known)

    def _found(self, route: LogRoute, event: LossEvent) -> None:
        key = (route.number, event.cause)
        finding = self.findings.get(key)
        if finding is None:
            finding = self.findings[key] = Finding(event.cause, route.number)
        finding.add(event, Decimal(1) if route.rule is None else route.rule.read)

    def _drop_doubtful(self) -> None:
        """What struck once in a while is how every conversation begins, or a new release."""
        for (number, cause), finding in list(self.findings.items()):
            requests = self.routes.all[number].requests
            rare = finding.count * 2 < requests and cause is Cause.BELOW_MINIMUM
            once = finding.count == 1 and requests >= 50 and cause is Cause.UNKNOWN
            if rare or once:
                del self.findings[number, cause]


def _without_turn_scoped(
    rendered: Rendered, rule: ProviderRule | None
) -> tuple[tuple[Segment, ...], Segment | None]:
    """The segments that a cache can hold, and instructions that stand behind them."""
    segments = rendered.segments
    if rule is not None and rule.instructions_last and segments[-1].pointer == "/instructions":
        return segments[:-1], segments[-1]
    return segments, None
