"""The analysis of a log of requests under the rules of their providers' prompt caches.

One pass, in the order of time. For each request it finds the earlier one that it should have
followed: the previous turn of its conversation, else the prompt that shares most of its beginning,
else the last one of its family. Then it finds where and why they differ, what the provider's rules
make of the request as it was sent, and what the best markers could have made of it.
"""

from decimal import Decimal
from typing import NamedTuple

from askonce.formats.usage import ReportedUsage, read_usage
from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.divergence import find_divergence
from askonce.prompts.analyzer.families import FamilyClassifier
from askonce.prompts.analyzer.findings import Finding, LossEvent
from askonce.prompts.analyzer.fingerprints import (
    ComparedPrompt,
    Fingerprinter,
    PromptFingerprint,
    simulated_request,
)
from askonce.prompts.analyzer.log_lines import BadLine, LogLine, read_line
from askonce.prompts.analyzer.log_routes import LogRoute, LogRoutes
from askonce.prompts.analyzer.offline_optimum import OfflineOptimum, SeenPrefix
from askonce.prompts.analyzer.predecessors import Predecessor, PredecessorIndex
from askonce.prompts.analyzer.reorder_buffer import ReorderBuffer
from askonce.prompts.analyzer.rule_causes import WrittenEntries, find_rule_cause, write_price
from askonce.prompts.analyzer.text_diff import first_difference
from askonce.prompts.analyzer.trie import DeltaTexts, PrefixTrie
from askonce.prompts.provider.rules import ProviderRule, RuleBook
from askonce.prompts.provider.tokens import TokenRate, TokenRates
from askonce.prompts.requests.reader import SERVER_STATE
from askonce.prompts.requests.render import render
from askonce.prompts.requests.segments import RenderedPrompt, Segment
from askonce.prompts.simulator import (
    FIRST_BYTE_SECONDS,
    SimulatedRequest,
    SimulatedUsage,
    Simulator,
)

LEAST = 48
"""Tokens; a smaller loss is not reported."""

_LEAST_FRAME = 256
"""Tokens; the same words around a stamp are a template if they are longer, else a question."""

_FRAME = 600  # bytes at its end
_STAMPS = {Cause.DATE, Cause.UUID, Cause.REQUEST_ID}
_MOST_BAD = 1_000


class PendingLine(NamedTuple):
    """A line that was read and waits for its turn."""

    ts: float
    number: int
    duration: float | None
    line: LogLine
    rendered: RenderedPrompt
    rule: ProviderRule | None
    usage: ReportedUsage | None


class _Followed(NamedTuple):
    """A request with everything that its comparison needs."""

    route: LogRoute
    prompt: PromptFingerprint
    text: bytes
    sent: SimulatedRequest
    usage: SimulatedUsage


class Analysis:
    """Takes a log line by line; after `finish`, its attributes hold the results.

    routes     the routes of the log, with their token counts
    findings   the losses, by route number and cause
    bad        the first bad lines; `bad_count` counts all
    lines      how many lines were read, and how many `requests` among them could be used
    """

    def __init__(self, book: RuleBook) -> None:
        self.routes = LogRoutes()
        self.findings: dict[tuple[int, Cause], Finding] = {}
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.lines = 0
        self.requests = 0
        self._optimum = OfflineOptimum()
        self._book = book
        self._token_rates = TokenRates()
        self._rates: dict[str, TokenRate] = {}
        self._order: ReorderBuffer[PendingLine] = ReorderBuffer()
        self._families = FamilyClassifier()
        self._fingerprinter = Fingerprinter()
        self._trie = PrefixTrie()
        self._texts = DeltaTexts()
        self._predecessors = PredecessorIndex()
        self._simulators: dict[str, Simulator] = {}
        self._entries = WrittenEntries()
        self._instructions: set[int] = set()
        self._now = 0.0

    # Reading

    def add_line(self, data: bytes) -> None:
        """Read the next line of the log."""
        self.lines += 1
        line, bad = read_line(data, self.lines)
        if bad is not None:
            self.add_bad_line(bad)
        if line is None:
            return
        pending = self._render(line)
        behind = self._order.seconds_behind(pending)
        if behind:
            self.add_bad_line(
                BadLine(line.number, f"its clock is {behind:.1f} s behind", used=True)
            )
        for one in self._order.push(pending, len(data)):
            self._follow(one)

    def finish(self) -> None:
        """End the log: compute what needs all of it."""
        for one in self._order.drain():
            self._follow(one)
        rules = [route.rule for route in self.routes.all]
        for route, optimal in zip(self.routes.all, self._optimum.compute(rules), strict=True):
            route.finish(optimal)
        self._drop_doubtful()

    def add_bad_line(self, bad: BadLine) -> None:
        self.bad_count += 1
        if len(self.bad) < _MOST_BAD:
            self.bad.append(bad)

    def _render(self, line: LogLine) -> PendingLine:
        known = self._book.provider(line.provider) or self._book.provider(line.origin)
        rule = None if known is None else self._book.rule(known, line.model)
        rendered = render(line.request, line.api, rule=rule, model=line.model)
        usage = read_usage(line.response, line.api, known or line.provider)
        if usage is not None:
            if usage.faults:
                self.add_bad_line(BadLine(line.number, f"usage: {usage.faults[0]}", used=True))
            size = sum(len(segment.data) for segment in rendered.segments)
            self._token_rates.observe(rendered.model, size, usage.input_total)
        bare = line.without_bodies()
        return PendingLine(line.ts, line.number, line.duration, bare, rendered, rule, usage)

    # Following

    def _follow(self, one: PendingLine) -> None:
        """Compare one request with those before it."""
        line, rendered, rule = one.line, one.rendered, one.rule
        scope = f"{line.tenant or ''}\x1f{line.provider}\x1f{line.api}"
        segments, instructions = _split_instructions(rendered, rule)
        family = self._families.family(f"{line.provider}\x1f{line.api}", rendered.segments)
        route = self.routes.route(line.provider, line.api, rendered, family, rule)
        self.requests += 1
        rate = self._rate(rendered.model)
        prompt, text = self._fingerprint(one, scope, family, segments, rate)
        rest = 0 if instructions is None else rate.tokens(len(instructions.data))
        number = self._predecessors.next_number
        nodes = self._trie.nodes(scope, text)
        match = self._trie.visit(nodes, number)
        seen = self._optimum.visit(prompt, number, route.number, rule)
        sent = simulated_request(prompt, rendered, segments, nodes, one.duration, rule)
        usage = self._simulate(scope, sent, rule, uncached=prompt.total, rest=rest)
        route.add_request(one.usage, usage)
        predecessor = self._predecessors.find(prompt, scope, seen, match)
        prompt.text = self._store_text(text, predecessor)
        self._predecessors.add(prompt, scope)
        followed = _Followed(route, prompt, text, sent, usage)
        if not any(doubt.endswith(SERVER_STATE) for doubt in rendered.doubts):
            self._find_causes(followed, predecessor, seen)
        if rule is not None and rule.matching == "breakpoint":
            self._entries.add(prompt, sent, rule)
        if instructions is not None:
            self._check_instructions(followed, scope, instructions, rest)

    def _rate(self, model: str) -> TokenRate:
        """Return the model's rate, which stays as it was at the model's first request."""
        rate = self._rates.get(model)
        if rate is None:
            rate = self._rates[model] = self._token_rates.rate(model)
        return rate

    def _fingerprint(
        self,
        one: PendingLine,
        scope: str,
        family: int,
        segments: tuple[Segment, ...],
        rate: TokenRate,
    ) -> tuple[PromptFingerprint, bytes]:
        """Return the prompt's fingerprint and its text."""
        self._now = ts = max(self._now, one.ts)
        wait = FIRST_BYTE_SECONDS
        if one.duration is not None:
            wait = min(one.duration, wait)
        prompt = PromptFingerprint(one.number, ts, ts + wait, one.line.session, family)
        ends = rate.cumulative(len(segment.data) for segment in segments)
        return prompt, self._fingerprinter.fill(prompt, segments, ends, scope)

    def _simulate(
        self,
        scope: str,
        sent: SimulatedRequest,
        rule: ProviderRule | None,
        *,
        uncached: int,
        rest: int,
    ) -> SimulatedUsage:
        """Simulate a request; `rest` are its tokens that no cache can hold."""
        if rule is None:
            return SimulatedUsage(uncached=uncached + rest)
        key = f"{scope}\x1f{rule.models[0]}"
        simulator = self._simulators.get(key)
        if simulator is None:
            simulator = self._simulators[key] = Simulator(rule)
        usage = simulator.send(sent)
        return SimulatedUsage(usage.read, usage.written, usage.uncached + rest) if rest else usage

    def _store_text(self, text: bytes, predecessor: Predecessor | None) -> int:
        """Store the part of the text that it does not share with its predecessor."""
        if predecessor is None:
            return self._texts.add(text)
        other, block = predecessor.prompt, predecessor.block
        return self._texts.add(text, other.text, other.ends[block - 1] if block else 0)

    # Causes

    def _find_causes(
        self, followed: _Followed, predecessor: Predecessor | None, seen: SeenPrefix | None
    ) -> None:
        route = followed.route
        event = None if predecessor is None else self._find_divergence(followed, predecessor)
        if event is not None:
            self._add(route, event)
            if event.cachable:
                route.misplaced += event.lost
                return
        if route.rule is None or seen is None:
            return
        event = find_rule_cause(
            followed.prompt,
            followed.sent,
            route.rule,
            seen=seen,
            usage=followed.usage,
            entries=self._entries,
            earlier_line=self._predecessors[seen.visitor].line,
        )
        if event is not None and event.lost >= LEAST:
            self._add(route, event)

    def _find_divergence(self, followed: _Followed, predecessor: Predecessor) -> LossEvent | None:
        """Find where a request differs from the one that it should have followed."""
        prompt, rule = followed.prompt, followed.route.rule
        other, block = predecessor.prompt, predecessor.block
        if block >= len(prompt) or (block >= len(other) and predecessor.is_turn):
            return None
        is_new = not predecessor.is_turn and block >= min(prompt.head, other.head)
        if is_new and (block >= len(other) or prompt.tokens_of(block) < _LEAST_FRAME):
            return None
        a = ComparedPrompt(other, self._texts[other.text])
        b = ComparedPrompt(prompt, followed.text)
        if is_new and a.data(block)[-_FRAME:] != b.data(block)[-_FRAME:]:
            return None  # another question
        found = find_divergence(a, b, block)
        if is_new and (found.cause not in _STAMPS or found.lost < _LEAST_FRAME):
            return None
        if found.lost < LEAST or (
            found.cause is Cause.APPENDED and (rule is None or rule.matching != "breakpoint")
        ):
            return None
        before = prompt.before(block)
        return LossEvent(
            cause=found.cause,
            confidence=found.confidence,
            pointer=found.pointer,
            lost=found.lost,
            line=prompt.line,
            earlier_line=other.line,
            a=found.a,
            b=found.b,
            at=found.at,
            byte=first_difference(a.data(block) if block < len(other) else b"", b.data(block)),
            token=before,
            write=write_price(rule, followed.usage),
            cachable=before + found.lost >= (0 if rule is None else rule.min_tokens),
        )

    def _check_instructions(
        self, followed: _Followed, scope: str, instructions: Segment, tokens: int
    ) -> None:
        """Report instructions that are sent again, if the provider reads them with every turn."""
        known = hash((scope, instructions.data))
        if known in self._instructions and tokens >= LEAST:
            event = LossEvent(
                cause=Cause.INSTRUCTIONS,
                confidence=0.7,
                pointer=instructions.pointer,
                lost=tokens,
                line=followed.prompt.line,
                b=instructions.data[:400].decode(errors="replace"),
                token=followed.prompt.total,
            )
            self._add(followed.route, event)
            followed.route.misplaced += tokens
        self._instructions.add(known)

    def _add(self, route: LogRoute, event: LossEvent) -> None:
        key = (route.number, event.cause)
        finding = self.findings.get(key)
        if finding is None:
            finding = self.findings[key] = Finding(event.cause, route.number)
        finding.add(event, Decimal(1) if route.rule is None else route.rule.read)

    def _drop_doubtful(self) -> None:
        """Drop rare findings: every conversation begins like that, or there was a new release."""
        for (number, cause), finding in list(self.findings.items()):
            requests = self.routes.all[number].requests
            rare = finding.count * 2 < requests and cause is Cause.BELOW_MINIMUM
            once = finding.count == 1 and requests >= 50 and cause is Cause.UNKNOWN
            if rare or once:
                del self.findings[number, cause]


def _split_instructions(
    rendered: RenderedPrompt, rule: ProviderRule | None
) -> tuple[tuple[Segment, ...], Segment | None]:
    """Split off instructions that the provider reads last, where no cache can hold them."""
    segments = rendered.segments
    if rule is not None and rule.instructions_last and segments[-1].pointer == "/instructions":
        return segments[:-1], segments[-1]
    return segments, None
