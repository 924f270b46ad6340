"""The packs as a table: what each takes, and what looks like it and is left alone."""

import pytest

from askonce.core.models import Reason
from askonce.core.rules.packs import PACKS, REASONS
from askonce.core.rules.re2 import compiled
from askonce.core.rules.rules import Rules
from askonce.core.rules.ruleset import Ruleset

ALL = Rules().pack("personal").pack("time-sensitive").pack("side-effects")
NAMES = {1: "personal", 2: "time-sensitive", 3: "side-effects"}

TAKEN = {
    "personal": (
        "What is my IP address?",
        "what's my current account balance",
        "What is the status of my order?",
        "What is the total amount of my last invoice?",
        "Where is my package?",
        "Where's my refund",
        "When will my order arrive?",
        "Hi, has my refund been processed yet?",
        "Did my last payment go through?",
        "Why was my card declined?",
        "Is my subscription still active?",
        "Show me all my open invoices",
        "Can you please list my recent transactions?",
        "How much do I owe?",
        "How many vacation days do I have left?",
        "How much have I spent this month?",
        "Do I have any unread messages?",
        "Am I eligible for a discount?",
        "Who am I?",
        "What is my name?",
        "Do you remember me?",
    ),
    "time-sensitive": (
        "What time is it in Tokyo?",
        "What is the current time?",
        "What's the date?",
        "What day is it today?",
        "What is today's date?",
        "Who is currently the president of France?",
        "How many people currently live in Berlin?",
        "Is the store open right now?",
        "Is the service still available today?",
        "What is the weather like in Zürich?",
        "Will it rain tomorrow?",
        "What's on TV tonight?",
        "Who won the match yesterday?",
        "Who won the game last night?",
        "What is happening in town this weekend?",
        "What is the latest version of Python?",
        "What is the price of gold?",
        "What is Apple's stock price?",
        "What's the exchange rate from EUR to USD?",
        "Give me today's headlines",
        "Any breaking news?",
        "What is Bitcoin worth now?",
        "Who is the current CEO of Siemens?",
        "How busy is it at the moment?",
    ),
    "side-effects": (
        "Delete this file for me",
        "Please delete my account.",
        "Could you cancel my order?",
        "Please cancel order 4711",
        "Cancel booking #AB-12.",
        "Hi! Can you please cancel all my meetings?",
        "Send an email to Bob",
        "I want you to send it to everyone",
        "Email them the report",
        "Book a table for two at eight",
        "Buy two tickets to Rome",
        "Schedule a meeting with Anna",
        "Pay the invoice",
        "Transfer 50 euros to Anna",
        "Refund my last order",
        "Please refund me.",
        "Restart the server",
        "Turn off all lights",
        "Merge this pull request",
        "Remind me to call the bank",
        "Set an alarm for seven",
        "Add milk to my shopping list",
        "Open a ticket for this",
        "Create a new user named bob",
        "Change my address to 5 Main Street",
        "Thanks. Now delete these files.",
    ),
}

LEFT_ALONE = (
    # Has one answer for everybody.
    "How do I change my password?",
    "How can I check my account balance?",
    "Where can I find the IP address of a server?",
    "What happens to my data when I leave?",
    "Can I cancel my order after it was shipped?",
    "What is the best way to secure my account?",
    "My name is Anna. What is a mortgage?",
    "How many days do I have to return an item?",
    "How long does a refund take?",
    "What is an account balance?",
    # Says a word of time, and does not ask for the news.
    "How does photosynthesis currently work?",
    "What happens at the moment of impact?",
    "What is the time complexity of quicksort?",
    "What is the date format in Germany?",
    "Why is Shakespeare still relevant today?",
    "What causes weather patterns in Europe?",
    "How is a stock price determined?",
    "How does the exchange rate mechanism work?",
    "What is the current in a series circuit?",
    "How late is the latest possible return?",
    "Explain present tense: now, today, tomorrow",
    # Speaks of doing something, or asks for a text.
    "How do I delete a file?",
    "How do I send an email in Python?",
    "Delete vs. truncate in SQL?",
    "Create a table of contents",
    "Create a Python function that deletes files",
    "Write an email to Bob",
    "Update this paragraph so that it is shorter",
    "Order these numbers from small to large",
    "Order of operations in math",
    "Book recommendations for children",
    "Pay attention to the second paragraph and summarize it",
    "Transfer learning explained",
    "Cancel culture explained",
    "Can you cancel orders within 14 days?",
    "Remove items from a list in Python 3",
    "Call stack explained",
    "What does 'send' do in a generator?",
    "Remove the third word of the sentence",
    "Translate into German: please delete my account",
    "Was bedeutet das?",
    "",
)


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return Ruleset(ALL, compiled)


def packs_of(ruleset: Ruleset, question: str) -> set[str]:
    return {NAMES[place] for place in ruleset.ruling(question).matched}


@pytest.mark.parametrize(
    ("pack", "question"), [(pack, question) for pack, some in TAKEN.items() for question in some]
)
def test_a_pack_takes_what_it_is_for(ruleset: Ruleset, pack: str, question: str) -> None:
    assert pack in packs_of(ruleset, question)


@pytest.mark.parametrize("question", LEFT_ALONE)
def test_what_only_looks_like_it_is_left_alone(ruleset: Ruleset, question: str) -> None:
    assert packs_of(ruleset, question) == set()


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_has_a_word_and_each_pattern_a_why(pack: str) -> None:
    assert isinstance(REASONS[pack], Reason)
    assert TAKEN[pack]
    assert all(packed.why and len(packed.pattern) <= 1_000 for packed in PACKS[pack])
