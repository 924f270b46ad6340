"""Rules: which rule wins, the tags of a question, the effect of an event, and the refusals."""

import time
from datetime import timedelta
from typing import Any

import pytest

from askonce.config.load import load
from askonce.config.show import show
from askonce.core.directives import MAX_TAGS, NONE, Directives
from askonce.core.errors import ConfigError
from askonce.core.models import Entry, Key, Reason, Shape
from askonce.core.policy import Life, Limits, life_of, may_ask, ruled, time_to_live, united
from askonce.core.rules.re2 import compiled
from askonce.core.rules.rules import EventRule, Rule, Rules
from askonce.core.rules.ruleset import LONGEST_QUESTION, NO_RULING, Ruleset
from askonce.core.wire_format import ParsedQuestion

SHOP = (
    Rules()
    .after(r"price|cost", "5m")
    .after(r"polic(y|ies)", timedelta(days=7))
    .after(None, "1h", model="gpt-4o*")
    .tag(r"order (?P<id>[\w-]+)", "order:{id}", "orders")
    .tag(None, "mini", model="*-mini")
    .never(r"secret", because="keep it secret")
    .pack("personal", route="/v1/chat/*")
    .on("product_updated", tags=["product:{product_id}"], pattern="product")
)


@pytest.fixture(scope="module")
def shop() -> Ruleset:
    return Ruleset(SHOP, compiled)


@pytest.mark.parametrize(
    ("asked", "model", "ttl", "tags", "reason", "matched"),
    [
        ("Who are you?", "", None, (), None, ()),
        ("What is the PRICE of the policy?", "", 300, (), None, (1, 2)),
        ("What is the policy?", "gpt-4o-mini", 604_800, ("mini",), None, (2, 3, 5)),
        ("Who are you?", "gpt-4o", 3_600, (), None, (3,)),
        ("order 12", "", None, ("order:12", "orders"), None, (4,)),
        ("Order AB-12", "", None, ("order:AB-12", "order:ab-12", "orders"), None, (4,)),
        ("the secret price", "", 300, (), Reason.RULE, (1, 6)),
    ],
)
def test_never_then_the_first_ttl_and_all_tags(
    shop: Ruleset,
    asked: str,
    model: str,
    ttl: float | None,
    tags: tuple[str, ...],
    reason: Reason | None,
    matched: tuple[int, ...],
) -> None:
    ruling = shop.ruling(asked, model=model)
    assert (ruling.ttl, ruling.tags, ruling.reason) == (ttl, tags, reason)
    assert ruling.matched == matched


def test_a_route_is_a_path_or_the_name_of_a_format(shop: Ruleset) -> None:
    asked = "What is my account balance?"
    assert shop.ruling(asked) is NO_RULING
    on_path = shop.ruling(asked, route="/v1/chat/completions", format="openai_chat")
    assert (on_path.reason, on_path.won) == (Reason.PERSONAL, (("never", 7),))
    named = Ruleset(Rules().tag(None, "texts", route="text"), compiled)
    assert named.ruling("x", route="/v1/x", format="text").tags == ("texts",)


@pytest.mark.parametrize(
    ("pattern", "template", "asked", "tags"),
    [
        (r"order (?P<id>.+)", "order:{id}", "order a b,c", ("order:a%20b%2Cc",)),
        (r"in (?P<city>\S+)", "city:{city}", "in zürich", ("city:z%C3%BCrich",)),
        (r"off (?P<n>\S+)", "off:{n}", "off 50%", ("off:50%",)),
        (r"order (?P<id>\d+)", "order:{id}", "order 1, order 2", ("order:1", "order:2")),
        # A group that took no part, or found nothing, leaves its tag out and no other.
        (r"order(?: (?P<id>\d+))?", "order:{id}", "my order", ()),
        (r"order (?P<id>\d*)", "order:{id}", "order x", ()),
        (r"(?P<a>\w+) of (?P<b>\w+)", "{a}:{b}", "Cost OF Tea", ("Cost:Tea", "cost:tea")),
    ],
)
def test_a_template_becomes_a_tag(
    pattern: str, template: str, asked: str, tags: tuple[str, ...]
) -> None:
    assert Ruleset(Rules().tag(pattern, template), compiled).ruling(asked).tags == tags


def test_a_question_and_an_event_meet_whatever_the_case() -> None:
    rules = Rules().tag(r"order (?P<id>\S+)", "order:{id}").on("changed", tags=["order:{id}"])
    ruleset = Ruleset(rules, compiled)
    for asked, said in (("AB-12", "ab-12"), ("ab-12", "AB-12"), ("Zü", "zü"), ("ZÜ", "Zü")):
        tags = set(ruleset.ruling(f"order {asked}").tags)
        assert tags & set(ruleset.effect("changed", {"id": said}).tags), (asked, said)


def test_too_many_or_too_long_tags_are_in_doubt() -> None:
    many = Ruleset(Rules().tag("x", *(f"t{n}" for n in range(MAX_TAGS + 1))), compiled)
    assert many.ruling("x").tags_in_doubt
    assert len(many.ruling("x").tags) == MAX_TAGS
    long = Ruleset(Rules().tag(r"(?P<a>\w+)", "a:{a}", "b"), compiled)
    ruling = long.ruling("x" * 300)
    assert (ruling.tags, ruling.tags_in_doubt) == (("b",), True) or ruling.tags_in_doubt
    often = Ruleset(Rules().tag(r"(?P<a>\w)", "a:{a}"), compiled)
    assert often.ruling("x " * (MAX_TAGS + 1)).tags_in_doubt
    full = ruled(Directives(tags=tuple(f"u{n}" for n in range(MAX_TAGS))), shop_tag())
    assert full.tags_in_doubt


def shop_tag() -> Any:
    return Ruleset(SHOP, compiled).ruling("order 12")


def test_a_question_too_long_for_the_patterns_is_not_asked_of_the_cache() -> None:
    rules = Ruleset(Rules().tag("x", "t", model="m"), compiled)
    long = "x" * (LONGEST_QUESTION + 1)
    assert rules.ruling(long, model="m").reason is Reason.TOO_LARGE
    assert rules.ruling(long[1:], model="m").tags == ("t",)
    assert rules.ruling(long, model="other") is NO_RULING
    assert Ruleset(Rules().tag(None, "t", model="m"), compiled).ruling(long, model="m").tags


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"(.*a){20}$", r"(a*)*b"])
def test_no_pattern_hangs_a_worker(pattern: str) -> None:
    rules = Ruleset(Rules().never(pattern), compiled)
    started = time.perf_counter()
    rules.ruling("a" * 100_000 + "!")
    assert time.perf_counter() - started < 5


def test_half_a_character_is_a_text_too() -> None:
    ruling = Ruleset(Rules().tag(r"order (?P<id>\S+)", "order:{id}"), compiled).ruling(
        "order 5\ud800"
    )
    assert ruling.tags == ("order:5?",)


# Events


@pytest.mark.parametrize(
    ("data", "tags"),
    [
        ({"product_id": "123", "more": [1]}, ("product:123",)),
        ({"product_id": 123}, ("product:123",)),
        ({"product_id": True}, ("product:true",)),
        ({"product_id": "A 1"}, ("product:A%201", "product:a%201")),
    ],
)
def test_an_event_becomes_tags_and_patterns(
    shop: Ruleset, data: dict[str, Any], tags: tuple[str, ...]
) -> None:
    assert shop.effect("product_updated", data) == (tags, ("product",))


@pytest.mark.parametrize(
    ("event", "data", "said"),
    [
        ("product_update", {}, "no rule is about the event 'product_update'; there are product_"),
        ("product_updated", {}, "lacks 'product_id' in its data"),
        ("product_updated", {"product_id": ""}, "lacks 'product_id' in its data"),
        ("product_updated", {"product_id": None}, "lacks 'product_id' in its data"),
        ("product_updated", {"product_id": [1]}, "neither a text nor a number"),
        ("product_updated", {"product_id": "x" * 300}, "at most 256"),
    ],
)
def test_an_event_that_cannot_be_meant_is_an_error(
    shop: Ruleset, event: str, data: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        shop.effect(event, data)


# Refusals


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('match = "("', "rule 1: says nothing; give it ttl, tags, never, also_store or pack"),
        ('match = "("\nttl = "5m"', r"rule 1: '\(' is not a pattern that RE2 knows: missing \)"),
        ('match = "(?=x)"\nttl = 5', "rule 1: .* is not a pattern that RE2 knows"),
        (f'match = "{"x" * 1001}"\nttl = 5', "a pattern has 1001 characters, which is too long"),
        ('ttl = "5m"', "rule 1: matches no question; give it match, model or route"),
        ('match = "x"\nttl = "soon"', "rule 1: ttl is not a duration"),
        ('match = "x"\nttl = true', "rule 1: ttl is not a duration"),
        ('match = "x"\ntll = 5', "rule 1: 'tll' is not a key of a rule; did you mean \"ttl\""),
        ('match = "x"\nnever = false', "rule 1: never is not a text: False; .* or true"),
        ('match = "x"\nttl = 5\nnever = true', "rule 1: has both ttl and never"),
        ('match = "x"\ntags = ["a:{id}"]', "rule 1: 'id' in the tag 'a:{id}' is not a named group"),
        ('match = "(?P<i>x)"\ntags = ["{id}"]', "is not a named group of its pattern; it has i"),
        ('model = "m"\ntags = ["a:{id}"]', "rule 1: 'id' in the tag 'a:{id}' is not a named group"),
        ('match = "x"\ntags = ["a b"]', "rule 1: the tag 'a b' has a character that no tag can"),
        ('match = "x"\ntags = ["{"]', "rule 1: the tag '{' is not a template"),
        ('match = "x"\ntags = ["{a!r}"]', "rule 1: the tag '{a!r}' has more in its braces"),
        ('match = "x"\ntags = ["~a"]', "rule 1: the tag '~a' cannot be one"),
        ('match = "x"\ntags = 5', "rule 1: tags is not a list of texts"),
        ('model = "m"\nalso_store = ["audio"]', "rule 1: also_store cannot have 'audio'; choose"),
        ('model = "m"\nalso_store = 5', "rule 1: also_store is not a list of texts"),
        ('also_store = ["length"]', "rule 1: matches no question"),
        ('model = "m"\nnever = true\nalso_store = "length"', "rule 1: has both also_store and"),
        ('pack = "personal"\nalso_store = "length"', "rule 1: a pack has patterns of its own"),
        ('pack = "all"', "rule 1: there is no pack 'all'; there are personal, time-sensitive, sid"),
        ('pack = "personal"\nttl = 5', "rule 1: a pack has patterns of its own"),
        ('on = "a b"\ntags = ["x"]', "rule 1: 'a b' cannot be an event's name"),
        ('on = "a"', "rule 1: invalidates nothing"),
        ('on = "a"\ntags = ["x"]\nttl = 5', "rule 1: has both on and ttl"),
        ('on = "a"\nmatch = "("', "rule 1: .* is not a pattern that RE2 knows"),
        (
            'match = "x"\nttl = 5\n[[rules]]\non = "a"\ntags = "b"\n[[rules]]\nmatch = "x"\nttl=6',
            "rule 3: its ttl can never win, as rule 1 matches the same questions",
        ),
        (
            'match = "x"\nttl = 5\n[[rules]]\nmatch = "x"\nmodel = "m"\nttl=6',
            "rule 2: its ttl can never win, as rule 1",
        ),
    ],
)
def test_what_is_wrong_with_a_rule_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Ruleset(load(f"[[rules]]\n{text}", {}, "my.toml").rules, compiled)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["rules = 5", "[rules]\nmatch = 'x'", "rules = [1]"])
def test_rules_are_a_list_of_tables(text: str) -> None:
    with pytest.raises(ConfigError, match=r"my.toml: rules is not a list of tables; write \[\[ru"):
        load(text, {}, "my.toml")


def test_rules_cannot_be_in_the_environment() -> None:
    with pytest.raises(ConfigError, match=r"ASKONCE_RULES__TTL cannot be; rules stand in the file"):
        load("", {"ASKONCE_RULES__TTL": "5m"}, "my.toml")


def test_two_times_that_meet_in_some_questions_only_are_fine() -> None:
    rules = Rules().after("x", "5m", model="m").after("x", "5m", route="r").after("x", "1h")
    rules = rules.after("y", "1d")
    ruling = Ruleset(rules, compiled).ruling("x or y", model="m")
    assert (ruling.ttl, ruling.matched) == (300, (1, 3, 4))


def test_the_settings_have_the_same_rules_and_show_them() -> None:
    settings = load(
        """
[[rules]]
match = "price|cost"
ttl = "5m"
[[rules]]
match = 'order (?P<id>\\d+)'
model = "gpt-*"
route = "/v1/*"
tags = ["order:{id}", "orders"]
[[rules]]
match = "secret"
never = true
[[rules]]
pack = "time-sensitive"
[[rules]]
on = "product_updated"
tags = "product:{product_id}"
match = "product"
""",
        {},
    )
    assert settings.rules == (
        Rules()
        .after("price|cost", "5m")
        .tag(r"order (?P<id>\d+)", "order:{id}", "orders", model="gpt-*", route="/v1/*")
        .never("secret")
        .pack("time-sensitive")
        .on("product_updated", tags=["product:{product_id}"], pattern="product")
    )
    assert load(show(settings), {}).rules == settings.rules
    assert settings.rules.events == (
        EventRule(event="product_updated", tags=("product:{product_id}",), match="product"),
    )


def test_a_set_of_rules_does_not_change_when_one_is_added() -> None:
    rules = Rules()
    assert not rules
    more = rules.tag("x", "t")
    assert (rules.all, more.all) == ((), (Rule(match="x", tags=("t",)),))


# What a ruling does to a caller's wishes


def test_a_rule_bounds_and_a_caller_may_only_shorten() -> None:
    limits = Limits(ttl=86_400)
    price = Ruleset(SHOP, compiled).ruling("price")
    assert time_to_live(ruled(NONE, price), limits) == 300
    assert time_to_live(ruled(Directives(ttl=60), price), limits) == 60
    assert time_to_live(ruled(Directives(ttl=3_600), price), limits) == 300
    week = Ruleset(SHOP, compiled).ruling("policy")
    assert time_to_live(ruled(NONE, week), limits) == 604_800
    assert ruled(NONE, NO_RULING) is NONE


def test_a_never_is_a_bypass_with_its_word() -> None:
    directives = ruled(NONE, Ruleset(SHOP, compiled).ruling("the secret"))
    asked = ParsedQuestion("m", Shape(), {}, "the secret", False, False, None)
    assert may_ask(asked, directives, Limits()) == (False, Reason.RULE)


def entry(*tags: str, created: float = 1_000, ttl: float = 600) -> Entry:
    key = Key("a", "text", bytes(32))
    until = created + ttl
    pairs = tuple((tag, 1) for tag in tags)
    return Entry(key, b"", 200, (), created, until, until, tags=pairs)


@pytest.mark.parametrize(
    ("age", "directives", "limits", "life"),
    [
        (299, Directives(lives=300), Limits(), Life.FRESH),
        (300, Directives(lives=300), Limits(), Life.OVER),
        (300, Directives(lives=300), Limits(stale_while_revalidate=10), Life.STALE),
        (310, Directives(lives=300), Limits(stale_while_revalidate=10), Life.OVER),
        (599, Directives(lives=900), Limits(), Life.FRESH),
        (600, Directives(lives=900), Limits(), Life.OVER),
        (0, Directives(tags=("a",)), Limits(), Life.FRESH),
        (0, Directives(tags=("a", "b")), Limits(), Life.FRESH),
        (0, Directives(tags=("a", "c")), Limits(), Life.OTHER_TAGS),
        (605, Directives(tags=("c",)), Limits(stale_if_error=60), Life.OTHER_TAGS),
    ],
)
def test_what_a_stored_entry_is_good_for(
    age: float, directives: Directives, limits: Limits, life: Life
) -> None:
    assert life_of(entry("a", "b"), directives, limits, 1_000 + age) is life


def test_a_new_answer_carries_the_tags_of_both() -> None:
    directives = Directives(tags=("b", "doc:7", "doc:7@v2"))
    other = entry("a", "b", "doc:7", "doc:7@v1", "doc:8", "doc:8@v1")
    assert united(directives, None) == directives.tags
    assert united(directives, other) == ("a", "b", "doc:7", "doc:7@v2", "doc:8", "doc:8@v1")
    full = Directives(tags=tuple(f"t{n:03}" for n in range(MAX_TAGS)))
    assert united(full, other) == full.tags


def test_no_question_and_no_event_makes_a_tag_of_the_caches_own() -> None:
    rules = Rules().tag(r"(?P<word>\S+)", "{word}").on("e", tags=["{word}"])
    ruleset = Ruleset(rules, compiled)
    assert ruleset.ruling("~sweep:{}").tags == ("%7Esweep:{}",)
    assert ruleset.effect("e", {"word": "~sweep:{}"}).tags == ("%7Esweep:{}",)


def test_a_question_and_an_event_meet_however_an_accent_was_typed() -> None:
    rules = Rules().tag(r"city (?P<name>[\pL\pM]+)", "city:{name}").on("e", tags=["city:{name}"])
    ruleset = Ruleset(rules, compiled)
    asked = ruleset.ruling("city Zu\u0308rich").tags
    assert set(asked) == set(ruleset.effect("e", {"name": "Z\u00fcrich"}).tags)


def test_one_tag_of_an_event_may_be_a_text() -> None:
    assert Rules().on("e", tags="product").events[0].tags == ("product",)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rules().on("e", pattern=""), "rule 1: match is not a text: ''"),
        (lambda: Rules().after(" ", "5m"), "rule 1: match is not a text: ' '"),
        (lambda: Rules().after(5, "5m"), "rule 1: match is not a text: 5"),  # type: ignore[arg-type]
        (lambda: Rules().tag("x", ["a"]), "rule 1: tags are not texts"),  # type: ignore[arg-type]
        (lambda: Rules().on(None, tags=["a"]), "cannot be an event's name"),  # type: ignore[arg-type]
        (lambda: Rules([Rule(match="x", tags="ab")]), "tags are not texts"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_text_is_refused_in_the_library_too(make: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_exceptions_of_all_matching_rules_add_up() -> None:
    rules = (
        Rules()
        .after("price", "5m", also_store="length")
        .after(None, "1h", model="sonar*", also_store=["hosted-tool", "refusal"])
    )
    ruleset = Ruleset(rules, compiled)
    assert ruleset.ruling("a price", model="gpt").also_store == {Reason.LENGTH}
    both = ruleset.ruling("a price", model="sonar-pro").also_store
    assert both == {Reason.LENGTH, Reason.HOSTED_TOOL, Reason.REFUSAL}
    assert ruleset.ruling("a question", model="gpt").also_store == frozenset()


@pytest.mark.parametrize("word", ["audio", "server-state", "no-such-word"])
def test_only_some_reasons_have_exceptions(word: str) -> None:
    with pytest.raises(ConfigError, match="also_store cannot have"):
        Rules().after(None, "5m", model="m", also_store=[word])
    with pytest.raises(ConfigError, match="rule 1: also_store cannot have"):
        Rules([Rule(model="m", also_store=(word,))])  # type: ignore[arg-type]


def test_the_settings_show_an_exception_as_they_were_given_it() -> None:
    text = '[[rules]]\nmodel = "sonar*"\nttl = "5m"\nalso_store = ["hosted-tool", "length"]\n'
    settings = load(text, {})
    assert text.strip() in show(settings)
    assert load(show(settings), {}).rules == settings.rules
