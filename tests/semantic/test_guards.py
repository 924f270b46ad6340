"""The guards: pairs that each one must veto or let pass, and laws that hold for any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.semantic.guards import (
    GUARDS,
    GuardVerdict,
    Veto,
    may_match,
    prepare,
    verdict,
    verdicts,
)

VETOED = {
    Veto.NUMBERS: [
        ("How do I invest 500 dollars?", "How do I invest 5000 dollars?"),
        ("What is 15% of 80?", "What is 20% of 80?"),
        ("How far can I run in 5 km?", "How far can I run in 5 miles?"),
        ("Is 2 kg of rice enough?", "Is 2 lb of rice enough?"),
        ("How do I reset an iPhone 6?", "How do I reset an iPhone?"),
        ("Who won World War II?", "Who won World War I in 3 words?"),
        ("What are two primes?", "What are three primes?"),
        ("Convert 3.5 to binary", "Convert 35 to binary"),
    ],
    Veto.DATES: [
        ("What happened in 1914?", "What happened in 1918?"),
        ("Is the bank open on Monday?", "Is the bank open on Sunday?"),
        ("What are the events of May 2024?", "What are the events of June 2024?"),
        ("Wake me at 8am", "Wake me at 9am"),
        ("Will it rain today?", "Will it rain tomorrow?"),
        ("Was ist am 3. März passiert?", "Was ist am 3. April passiert?"),
    ],
    Veto.NAMES: [
        ("Who is the mayor of Paris?", "Who is the mayor of Lyon?"),
        ("who is the mayor of paris", "who is the mayor of lyon"),
        ("Where was Alan Turing born?", "Where was David Hilbert born?"),
        ("where was alan turing born", "where was david hilbert born"),
        ("What is the GDP of IITB?", "What is the GDP of IIMB?"),
        ("Is the GT-S7582 any good?", "Is the GT-I9300 any good?"),
        ("How do I parse a date?", "How do I parse a date in Kotlin?"),
        ("Что такое Москва?", "Что такое Казань?"),
    ],
    Veto.NEGATION: [
        ("Why should people move to Europe?", "Why should people not move to Europe?"),
        ("Which foods contain sugar?", "Which foods don't contain sugar?"),
        ("Can I build muscle with weights?", "Can I build muscle without weights?"),
        ("Is there any proof that God exists?", "Is there any proof that God doesn't exist?"),
    ],
    Veto.ANTONYMS: [
        ("Where can I buy old books?", "Where can I sell old books?"),
        (
            "What are the advantages of nuclear power?",
            "What are the disadvantages of nuclear power?",
        ),
        ("What is the highest lake?", "What is the lowest lake?"),
        ("Is gambling legal here?", "Is gambling illegal here?"),
        ("What should I do before the exam?", "What should I do after the exam?"),
        ("What are the pros and cons of tea?", "What are the pros of tea?"),
        ("Is this method useful?", "Is this method useless?"),
    ],
    Veto.KINDS: [
        ("what is the best green paint", "what is the best red paint"),
        ("how do i learn python fast", "how do i learn java fast"),
        ("can i feed my dog grapes", "can i feed my cat grapes"),
    ],
    Veto.COMPARED: [
        (
            "What is the difference between a salamander and a newt?",
            "What is the difference between a salamander, a newt and a toad?",
        ),
    ],
    Veto.NARROWER: [
        ("What are the best scooters?", "What are the best scooters for children?"),
        ("Who sells paint in bulk?", "Who sells paint in huge bulk?"),
    ],
    Veto.QUANTIFIERS: [("Are all swans white?", "Are few swans white?")],
    Veto.DIRECTION: [
        ("How do I convert inches to centimeters?", "How do I convert centimeters to inches?"),
        ("Flights from Boston to Denver", "Flights from Denver to Boston"),
        ("Is Java faster than Ruby?", "Is Ruby faster than Java?"),
    ],
    Veto.WORD_ORDER: [
        ("Can a bad person become good?", "Can a good person become bad?"),
        ("Why do Poles like Russians?", "Why do Russians like Poles?"),
        ("Do young women like rich men?", "Do rich women like young men?"),
    ],
    Veto.MOOD: [
        ("Who won the tournament?", "Who will win the tournament?"),
        ("Must I wear a helmet?", "Should I wear a helmet?"),
    ],
    Veto.QUESTION_WORD: [
        ("When was the wheel invented?", "Where was the wheel invented?"),
        ("How old is the pope?", "How tall is the pope?"),
        ("Is popcorn fattening?", "Why is popcorn fattening?"),
    ],
    Veto.QUOTED_TEXT: [
        ('What does "break a leg" mean?', 'What does "spill the beans" mean?'),
        ("Translate 'good night' please", "Translate 'well done' please"),
        ("Was bedeutet „Feierabend“?", "Was bedeutet „Gemütlichkeit“?"),
    ],
    Veto.CODE: [
        ("What does `x = y` print?", "What does `x = z` print?"),
        ("What is wrong with foo(1)?", "What is wrong with bar(1)?"),
        ("Summarize https://a.example/x", "Summarize https://a.example/y"),
        ("Solve 2x + 3 = 5", "Solve 2x - 3 = 5"),
    ],
    Veto.LANGUAGE: [
        ("What is the weather like?", "Wie ist das Wetter und was ist heute los?"),
        ("How do I say hello in French?", "How do I say hello in Spanish?"),
        ("What is water?", "Что такое вода?"),
    ],
    Veto.OUTPUT_FORMAT: [
        ("List the planets as JSON", "List the planets as a table"),
        ("Explain gravity", "Explain gravity in one sentence"),
        ("How does a car work?", "How does a car work, in layman's terms?"),
    ],
    Veto.UNREAD: [
        ("北京的人口是多少", "上海的人口是多少"),
        ("thời tiết ở miền bắc như thế nào", "thời tiết ở miền nam như thế nào"),
    ],
    Veto.TOO_LONG: [("so " * 1000 + "what is a cat?", "so " * 1000 + "what is a dog?")],
}

PASSED = [
    ("How do I learn Python?", "how do i learn python"),
    ("What is the best way to lose weight?", "How can I lose weight?"),
    ("What is the population of the USA?", "What is the population of the United States?"),
    ("Is MBA worth it?", "Is a Master of Business Administration worth it?"),
    ("How much is 15k rupees?", "How much is Rs 15,000?"),
    ("How long is 2 hours?", "How long is two hours?"),
    ("What is the 4th planet?", "What is the fourth planet?"),
    ("Can I walk 2 km?", "Can I walk 2000 meters?"),
    ("Is tea or coffee better?", "Is coffee or tea better?"),
    (
        "What is the difference between a rat and a mouse?",
        "What is the difference between a mouse and a rat?",
    ),
    ("Which is the best bank in India?", "In India, which is the best bank?"),
    ("Who will win the 2026 cup?", "Who will win the cup of 2026?"),
    ("What does Hillary Clinton think?", "What does Hilary Clinton think?"),
    ("Why is Trump popular?", "Why is Donald Trump popular?"),
    ("Is it safe or not?", "Is it safe?"),
    ("How do I find my PIN?", "I can't find my PIN"),
    ("What is the least painful cure?", "What is the most painless cure?"),
    ("What are your 5 favorite films?", "What are your favorite movies?"),
    ("Who is Nolan's notebook maker?", "Who is Nolan's note book maker?"),
    ("electoral college 2008 results", "results electoral college 2008"),
    ("Can you tell me why my card failed?", "Why did my card fail?"),
    ("Where can I get a new card?", "How do I get a new card?"),
    ("What is the price of gold?", "How much does gold cost?"),
    ("Wie heißt die Hauptstadt von Frankreich?", "wie heißt die Hauptstadt von Frankreich"),
]

LANGUAGES = [
    "What is the capital of France and how do I get there in 3 days?",
    "Was ist die Hauptstadt von Frankreich und wie komme ich in 3 Tagen dorthin?",
    "Quelle est la capitale de la France et comment y aller en 3 jours ?",
    "¿Cuál es la capital de Francia y cómo llego allí en 3 días?",
    "Qual è la capitale della Francia e come ci arrivo in 3 giorni?",
    "Qual é a capital da França e como chego lá em 3 dias?",
    "Wat is de hoofdstad van Frankrijk en hoe kom ik er in 3 dagen?",
    "Jaka jest stolica Francji i jak się tam dostać w 3 dni?",
    "Какая столица Франции и как туда добраться за 3 дня?",
    "Яка столиця Франції і як туди дістатися за 3 дні?",
    "法国的首都是哪里?我怎么在3天内到那里?",
    "フランスの首都はどこですか。3日でどうやって行けますか。",
    "프랑스의 수도는 어디이며 3일 안에 어떻게 가나요?",
    "ما هي عاصمة فرنسا وكيف أصل إلى هناك في ٣ أيام؟",
    "מהי בירת צרפת ואיך מגיעים לשם תוך 3 ימים?",
    "फ्रांस की राजधानी क्या है और मैं 3 दिनों में वहाँ कैसे पहुँचूँ?",
    "ফ্রান্সের রাজধানী কী এবং আমি ৩ দিনে সেখানে কীভাবে যাব?",
    "เมืองหลวงของฝรั่งเศสคืออะไร และฉันจะไปที่นั่นใน 3 วันได้อย่างไร",
    "Thủ đô của Pháp là gì và làm sao tôi đến đó trong 3 ngày?",
    "Fransa'nın başkenti neresi ve oraya 3 günde nasıl giderim?",
    "Ποια είναι η πρωτεύουσα της Γαλλίας και πώς πάω εκεί σε 3 μέρες;",
    "Mikä on Ranskan pääkaupunki ja miten pääsen sinne 3 päivässä?",
]

HOSTILE = [
    "a" * 600_000, "a_" * 300_000, "1" * 600_000, "1,2" * 200_000, "'" * 600_000, '"a' * 300_000,
    "`" * 600_000, "a.b." * 150_000, "\n" * 600_000, "as " + " " * 600_000 + "json", "/a" * 300_000,
    "x=" * 300_000, "(" * 600_000, "中" * 600_000, "中a" * 300_000, "Ab " * 200_000, "1 " * 300_000,
    "not " * 150_000, "from a to b " * 50_000, "a, b and " * 70_000, "Zq" + "z" * 50 + " " * 10,
    "🤖" * 150_000, "\ud800" * 1000, "\x00" * 600_000, "what is the " * 35_000, "e\u0301" * 300_000,
    " ".join(f"Name{i}" for i in range(100_000)), " ".join(f"Q{i} {i}" for i in range(50_000)),
]  # fmt: skip

WORDS = """
    what is the best way to learn Python in Paris 5 km 2016 not never from to than and or ,
    ? ' " Alan Turing buy sell before after all none why how many when json as a table `x`
    中文 вода
"""
words = st.sampled_from(sorted(set(WORDS.split())))
texts = st.one_of(st.text(max_size=200), st.lists(words, max_size=30).map(" ".join))


def test_each_guard_vetoes_its_pairs() -> None:
    silent = [
        (reason, a, b)
        for reason, pairs in VETOED.items()
        for a, b in pairs
        if GuardVerdict(False, reason) not in verdicts(a, b)
        or may_match(a, b).yes
        or may_match(b, a).yes
    ]
    assert silent == []


def test_the_same_question_in_other_words_passes() -> None:
    passes = {GuardVerdict(True, Veto.OK)}
    assert [pair for pair in PASSED if {may_match(*pair), may_match(*pair[::-1])} != passes] == []


def test_every_guard_has_its_own_word_and_a_table() -> None:
    reasons = [reason for reason, _ in GUARDS]
    assert len(set(reasons)) == len(reasons)
    assert set(reasons) == set(VETOED)


def test_every_language_matches_itself() -> None:
    spaced = [(text, "  " + text.replace(" ", "  ") + "\n") for text in LANGUAGES]
    vetoed = [(a, b) for a, b in spaced if not may_match(a, a).yes or not may_match(a, b).yes]
    assert vetoed == []


def test_a_number_counts_in_every_language() -> None:
    eights = str.maketrans("3٣৩", "8٨৮")
    assert [text for text in LANGUAGES if may_match(text, text.translate(eights)).yes] == []


def test_no_language_matches_another() -> None:
    ready = [prepare(text) for text in LANGUAGES]
    served = [
        (i, j)
        for i, a in enumerate(ready)
        for j, b in enumerate(ready)
        if i < j and verdict(a, b).yes
    ]
    assert served == []


@settings(max_examples=600)
@given(texts, texts)
def test_any_two_texts_have_one_symmetric_verdict(a: str, b: str) -> None:
    one, two = prepare(a), prepare(b)
    for reason, vetoes in GUARDS:
        assert vetoes(one, two) == vetoes(two, one), reason
    assert verdict(one, two) == verdict(two, one)


@settings(max_examples=400)
@given(texts)
def test_a_text_never_vetoes_itself(a: str) -> None:
    one = prepare(a)
    assert all(not vetoes(one, one) for _, vetoes in GUARDS)
    assert verdict(one, prepare(a)).yes


SENTENCES = sorted(
    {text for pairs in VETOED.values() for pair in pairs for text in pair if len(text) < 200}
)


@settings(max_examples=400)
@given(
    st.sampled_from(SENTENCES),
    st.sampled_from(["", "?", "!", ".", " ?", "...", "??"]),
    st.booleans(),
)
def test_case_and_final_punctuation_do_not_matter(text: str, end: str, is_lower: bool) -> None:
    changed = text.rstrip("?.! ") + end
    changed = changed.lower() if is_lower else changed
    assert may_match(text, changed).yes


@settings(max_examples=200)
@given(st.sampled_from(SENTENCES), st.sampled_from(["  ", "\t", "\n", " \u00a0"]))
def test_white_space_does_not_matter(text: str, space: str) -> None:
    assert may_match(text, space + text.replace(" ", space) + space).yes


@pytest.mark.timeout(30)  # a cost that is not linear would need hours
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:8]))
def test_hostile_texts_cost_little(text: str) -> None:
    one, two = prepare(text), prepare(text[:-1] + "b c d")
    verdict(one, two)
    for _, vetoes in GUARDS:
        vetoes(one, two)
    assert verdict(one, one).yes


def test_a_change_far_from_the_beginning_is_seen() -> None:
    long = "word " * 100_000
    assert may_match(long, long).yes
    assert may_match(long + "cat", long + "dog") == GuardVerdict(False, Veto.TOO_LONG)
    assert may_match("中" * 9000, "中" * 9000 + "文") == GuardVerdict(False, Veto.TOO_LONG)
