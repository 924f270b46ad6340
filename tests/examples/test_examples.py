"""Every example runs as a person would run it, in a process of its own, and says what it should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

MISS = r"askonce; fwd=miss; stored; detail=not-found"
HIT = r"askonce; hit; ttl=\d+; detail=memory"
FROM_REDIS = r"askonce; hit; ttl=\d+; detail=shared; layer=redis"
TIME_SENSITIVE = r"askonce; fwd=bypass; detail=time-sensitive"
BYPASS = r"askonce; fwd=bypass; detail=sampling"
WEATHER = r"  Weather\(city='Zürich', degrees=21.5\)"
FETCHED = r"  \(asking the weather service about Zürich\)"
FIRST_WORDS = r"\[first words after \d+ ms, all after \d+ ms\]"

SEMANTIC = r"askonce; hit; ttl=\d+; detail=semantic; similarity=0\.9\d+"

MARKED = r'did=marked; because=ok; at="/system 5m"; tokens=\d+; saves=\d+; usd=0\.00\d+'

EXPECTED = {
    "semantic_memory": [
        r"How do I change my PIN\? +At any cash machine\. \(exact, 1\.00\)",
        r"how do i change my pin +At any cash machine\. \(semantic, 1\.00\)",
        r"How can I change my PIN\? +At any cash machine\. \(semantic, 0\.9\d\)",
        r"How don't I change my PIN\? +no answer",
        r"How do I change my address\? +no answer",
        *["None", "None"],
        r"the guards' vetoes: {'negation': 1}",
    ],
    "semantic_redis": [
        *["One program stores the answers:", "Another program asks in other words:"],
        r"  shop    How long will delivery take\? +Two days\. \(asked as '.*does.*'\)",
        r"  pizzas  How long will delivery take\? +Half an hour\. \(asked as '.*does.*'\)",
        r"  hotel   How long will delivery take\? +no answer",
        r"  races   Who won the race of 2001\? +no answer",
        r"  races   Who won the race of 2004\? +Team 4\. \(asked as '.* in 2004\?'\)",
        r"  \.\.\. and after the answer expired:",
        r"  shop    How long will delivery take\? +no answer",
        r"  pizzas  How long will delivery take\? +Half an hour\. \(asked as '.*does.*'\)",
    ],
    "semantic_layers": [
        *["The first program asks:", rf"  Which currencies can I hold\? +{MISS}", "The next one:"],
        rf"  Which currencies can I hold\? +{FROM_REDIS}",
        rf"  Which currencies can I hold\? +{HIT}",
        rf"  What currencies can I hold\? +{SEMANTIC}",
        rf"  Which currencies can't I hold\? +{MISS}",
        "One that wants exact answers only:",
        rf"  What currencies can I hold\? +{MISS}",
    ],
    "exact_match": [
        rf" +\d+ ms  How do I change my PIN\? +{MISS}",
        rf" +\d+ ms  My card has not arrived yet\. +{MISS}",
        rf" +\d+ ms  How do I change my PIN\? +{HIT}",
        r"Once more, .*",
        r" +\d+ ms  How do I change my PIN\? +askonce; fwd=request; stored; detail=too-old",
        r"1 of 4 calls was a hit: [1-9]\d+ tokens",
        r"and \$0\.0000\d\d saved\.",
    ],
    "deterministic_only": [
        r'Cache\(sampling="bypass"\)',
        rf"  temperature 0: answer \.\.\.(?P<a>\w+)  {MISS}",
        rf"  temperature 0: answer \.\.\.(?P=a)  {HIT}",
        *[rf"  temperature 0\.8: answer \.\.\.\w+  {BYPASS}"] * 2,
        r"  3 of 4 calls went to the model",
        r"",
        r'Cache\(sampling="pool:3"\)',
        *[rf"  temperature 0\.8: answer \.\.\.(?P<{name}>\w+)  {MISS}" for name in "xyz"],
        *[rf"  temperature 0\.8: answer \.\.\.(?P={name})  {HIT}" for name in "xyz"],
        r"  3 of 6 calls went to the model",
        r"",
    ],
    "decorator": [
        *[FETCHED, r"Twice:", WEATHER, WEATHER],
        *[FETCHED, r"After its tag was invalidated:", WEATHER],
        r"  \(translating\)",
        r"Five at once: Hallo Hallo Hallo Hallo Hallo",
    ],
    "streaming_chat": [
        *[r"model: (?P<answer>.* Your reference is .*)", FIRST_WORDS, ""],
        *[r"cache: (?P=answer)", FIRST_WORDS, ""],
    ],
    "transport": [
        r"The first program that opens the file:",
        r"  openai:    (?P<openai>.+)",
        r"  anthropic: (?P<anthropic>.+)",
        r"  2 calls to the models, 0 hits",
        r"The second program that opens the file:",
        r"  openai:    (?P=openai)",
        r"  anthropic: (?P=anthropic)",
        r"  0 calls to the models, 2 hits",
    ],
    "gateway_tenants": [
        rf"sk-acme-1    {MISS}",
        rf"sk-acme-2    {HIT}",
        rf"sk-globex-1  {MISS}",
        rf"sk-globex-1  {HIT}",
        r"The model was asked 2 times: once for each tenant\.",
    ],
    "redis_exact": [
        *[r"One program:", rf"  after 0 s  {MISS}"],
        *[
            r"  0 of 1 calls were hits: 0 tokens saved",
            r"  Redis had 0 of them, memory the others",
        ],
        *[r"The next one:", rf"  after 0 s  {FROM_REDIS}", rf"  after 0 s  {HIT}"],
        rf"  after 3\.5 s  {MISS}",
        r"  2 of 3 calls were hits: [1-9]\d+ tokens saved",
        r"  Redis had 1 of them, memory the others",
    ],
    "three_layers": [
        r"one machine       finds it in no layer",
        r"one machine       finds it in memory, good for (30|29) s",
        r"another machine   finds it in redis, good for (60|5\d) s",
        r"another machine   finds it in memory, good for (30|29) s",
        r"after its restart finds it in disk, good for (60|5\d) s",
    ],
    "changed_documents": [
        *[rf"  May I return it\?   {MISS}", rf"  When do you open\?  {MISS}"],
        *[r"added 2: returns, hours", r"unchanged 0", r"invalidated 0 answers by 0 tags"],
        *[r"changed 1: returns", r"unchanged 1", r"invalidated 1 answer by 2 tags"],
        r"  May I return it\?  \(doc:returns@[0-9a-f]{16}\)",
        rf"  May I return it\?   {MISS}",
        r"  When do you open\?  askonce; hit; ttl=\d+; detail=shared; layer=sqlite",
    ],
    "event_rules": [
        *[r"At first:", rf"  Where is order 7\? +{MISS}", rf"  Where is order 8\? +{MISS}"],
        *[rf"  What does shipping cost\? +{MISS}", rf"  Are you open\? +{MISS}"],
        r"Sent once more: True",
        *[
            r"Order 7 was shipped:",
            rf"  Where is order 7\? +{MISS}",
            rf"  Where is order 8\? +{HIT}",
        ],
        *[rf"  What does shipping cost\? +{HIT}", rf"  Are you open\? +{HIT}"],
        *[r"Prices changed:", rf"  Where is order 7\? +{HIT}", rf"  Where is order 8\? +{HIT}"],
        *[rf"  What does shipping cost\? +{MISS}", rf"  Are you open\? +{HIT}"],
        *[r"A holiday was announced:", rf"  Where is order 7\? +{HIT}"],
        *[rf"  Where is order 8\? +{HIT}", rf"  What does shipping cost\? +{HIT}"],
        rf"  Are you open\? +{MISS}",
    ],
    "time_rules": [
        r"Now:",
        rf"  What does the card cost\? +{MISS}",
        rf"  What is your return policy\? +{MISS}",
        rf"  What is in order AB-12\? +{MISS}",
        rf"  Is the branch open right now\? +{TIME_SENSITIVE}",
        r"A minute later:",
        r"  What does the card cost\? +askonce; hit; ttl=240; detail=memory",
        r"  What is your return policy\? +askonce; hit; ttl=604740; detail=memory",
        rf"  What is in order AB-12\? +{HIT}",
        rf"  Is the branch open right now\? +{TIME_SENSITIVE}",
        r"Ten minutes later:",
        rf"  What does the card cost\? +{MISS}",
        r"  What is your return policy\? +askonce; hit; ttl=604140; detail=memory",
        rf"  What is in order AB-12\? +{HIT}",
        rf"  Is the branch open right now\? +{TIME_SENSITIVE}",
        r"After order AB-12 changed:",
        rf"  What is in order AB-12\? +{MISS}",
    ],
    "prompt_layout": [
        r"By hand:",
        *[r"  7\d\d\d of 7\d\d\d bytes are the front; marked /system/0"] * 2,
        r"  the same front: True",
        r"On the way, without a change of the code:",
        r"  Are you open\?  as it came",
        rf"  Where are you\? {MARKED}",
        rf"  Who are you\?   {MARKED}",
    ],
    "two_processes": [
        rf"A asks         {MISS}",
        rf"B asks         {FROM_REDIS}",
        # Out of Redis again where B has heard no news yet: tagged answers in memory need them.
        rf"B asks         ({HIT}|{FROM_REDIS})",
        r"A invalidates  the tag `hours`; a second later every process knows",
        rf"B asks         {MISS}",
        rf"A asks         {FROM_REDIS}",
    ],
}
"""What each example prints, line by line, as regular expressions; named groups carry over."""

ON_REDIS = {"redis_exact", "semantic_layers", "semantic_redis", "three_layers", "two_processes"}


def test_no_example_is_forgotten() -> None:
    assert EXPECTED.keys() == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", EXPECTED)
def test_it_runs_and_prints_what_it_promises(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = dict(os.environ)
    if name in ON_REDIS:
        env["ASKONCE_EXAMPLE_REDIS"] = request.getfixturevalue("redis8_url")
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    pattern = "".join(f"{line}\n" for line in EXPECTED[name])
    assert re.fullmatch(pattern, done.stdout), done.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_short_and_says_what_it_shows(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")

    assert re.match(r'"""[A-Z][^\n]+\."""\n', text)
    assert len(text.splitlines()) <= 50
