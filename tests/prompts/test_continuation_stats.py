"""How often conversations go on: by stage, in time, and what a little evidence is worth."""

from askonce.prompts.optimizer.continuation_stats import ContinuationStats

LIFE = 300.0


def test_nothing_is_expected_where_nothing_was_seen() -> None:
    assert ContinuationStats().chance(0, LIFE, 0.0) == 0.0


def test_a_share_is_learned_for_each_stage() -> None:
    talks = ContinuationStats()
    for at in range(2_000):
        talks.end(0, float(at))
        if at % 4 == 0:
            talks.goes_on(0, 10.0, [LIFE])
            talks.end(1, float(at))
            if at % 8 == 0:
                talks.goes_on(1, 10.0, [LIFE])

    assert abs(talks.chance(0, LIFE, 0.0) - 0.25) < 0.05
    assert abs(talks.chance(1, LIFE, 0.0) - 0.5) < 0.06
    assert talks.chance(0, LIFE, -2.0) < talks.chance(0, LIFE, 0.0) < talks.chance(0, LIFE, 2.0)


def test_what_comes_too_late_does_not_count() -> None:
    talks = ContinuationStats()
    for at in range(200):
        talks.end(0, at * 600.0)
        talks.goes_on(0, 599.0, [LIFE, 3600.0])

    assert talks.chance(0, LIFE, 0.0) == 0.0
    assert talks.chance(0, 3600.0, 0.0) > 0.9


def test_a_rush_of_new_conversations_says_nothing_yet() -> None:
    talks = ContinuationStats()
    for at in range(500):
        talks.end(0, float(at))
        talks.goes_on(0, 120.0, [LIFE])
    before = talks.chance(0, LIFE, 0.0)

    for at in range(400):
        talks.end(0, 500.0 + at / 10)

    assert talks.chance(0, LIFE, 0.0) > before * 0.7


def test_memory_is_bounded() -> None:
    talks = ContinuationStats()
    talks.end(0, 0.0)
    talks.goes_on(0, 3000.0, [3600.0])

    for at in range(5_000):
        talks.end(0, at / 1_000)

    assert len(talks._waiting) <= 2_048
