"""How often conversations continue: by stage, in time, and with few observations."""

from askonce.prompts.optimizer.continuation_stats import ContinuationStats

LIFE = 300.0


def test_nothing_is_expected_without_observations() -> None:
    assert ContinuationStats().chance(0, LIFE, 0.0) == 0.0


def test_a_share_is_learned_for_each_stage() -> None:
    stats = ContinuationStats()
    for at in range(2_000):
        stats.add_end(0, float(at))
        if at % 4 == 0:
            stats.add_continuation(0, 10.0, [LIFE])
            stats.add_end(1, float(at))
            if at % 8 == 0:
                stats.add_continuation(1, 10.0, [LIFE])

    assert abs(stats.chance(0, LIFE, 0.0) - 0.25) < 0.05
    assert abs(stats.chance(1, LIFE, 0.0) - 0.5) < 0.06
    assert stats.chance(0, LIFE, -2.0) < stats.chance(0, LIFE, 0.0) < stats.chance(0, LIFE, 2.0)


def test_a_continuation_after_the_lifetime_does_not_count() -> None:
    stats = ContinuationStats()
    for at in range(200):
        stats.add_end(0, at * 600.0)
        stats.add_continuation(0, 599.0, [LIFE, 3600.0])

    assert stats.chance(0, LIFE, 0.0) == 0.0
    assert stats.chance(0, 3600.0, 0.0) > 0.9


def test_many_new_conversations_do_not_lower_the_chance_at_once() -> None:
    stats = ContinuationStats()
    for at in range(500):
        stats.add_end(0, float(at))
        stats.add_continuation(0, 120.0, [LIFE])
    before = stats.chance(0, LIFE, 0.0)

    for at in range(400):
        stats.add_end(0, 500.0 + at / 10)

    assert stats.chance(0, LIFE, 0.0) > before * 0.7


def test_memory_is_bounded() -> None:
    stats = ContinuationStats()
    stats.add_end(0, 0.0)
    stats.add_continuation(0, 3000.0, [3600.0])

    for at in range(5_000):
        stats.add_end(0, at / 1_000)

    assert len(stats._pending) <= 2_048
