"""Guardrails hold at every look, and see what is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from honour.outcomes.stages import Canary, Stages, Tally
from honour.records.release import ReleaseSettings
from honour.release.guardrail import Guarded, gap_bound, guarded, share_interval

LIMITS = ReleaseSettings()
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize("n_yes", [0, 1, 50, 99, 100])
def test_the_ends_of_an_interval_are_where_the_mixture_is_as_likely_as_it_may_be(n_yes: int) -> None:
    low, high = share_interval(n_yes, 100, error_rate=0.05)
    assert 0.0 <= low <= n_yes / 100 <= high <= 1.0
    for end in (low, high):
        if 0.0 < end < 1.0:
            seen = n_yes * math.log(end) + (100 - n_yes) * math.log1p(-end)
            mixed = math.lgamma(n_yes + 0.5) + math.lgamma(100.5 - n_yes) - math.lgamma(101) - math.log(math.pi)
            assert mixed - seen == pytest.approx(math.log(1 / 0.05), abs=1e-6)


@pytest.mark.truth
def test_a_share_leaves_its_confidence_sequence_at_any_of_two_thousand_looks_less_often_than_promised() -> None:
    generator = np.random.default_rng(4)
    left = 0
    for _ in range(400):
        p = generator.choice([0.02, 0.5, 0.9])
        for n, n_yes in enumerate(np.cumsum(generator.random(2_000) < p), start=1):
            low, high = (0.0, 1.0) if n % 20 and n > 50 else share_interval(int(n_yes), n, error_rate=0.1)
            if not low <= p <= high:
                left += 1
                break
    assert left / 400 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)


@pytest.mark.truth
def test_predictions_that_hold_leave_the_bound_of_their_gap_less_often_than_promised_whatever_the_payments_are() -> None:
    generator = np.random.default_rng(5)
    n = np.arange(1, 3_001)
    bound = np.array([gap_bound(int(one), error_rate=0.1) for one in n])
    left = 0
    for _ in range(1_000):
        p = np.clip(0.5 + 0.4 * np.sin(n / 200) + generator.normal(0, 0.05, len(n)), 0.01, 0.99)
        gap = np.abs(np.cumsum((generator.random(len(n)) < p) - p)) / n
        left += bool((gap > bound).any())
    assert 0 < left / 1_000 <= 0.1


@pytest.mark.truth
def test_a_canary_that_is_as_good_as_the_rest_is_hardly_ever_rolled_back_and_a_worse_one_always() -> None:
    """Approval rates move over the day; both sides move together. Looked at after every 25 payments."""
    generator = np.random.default_rng(6)
    rolled_back = {0.0: 0, 0.15: 0}
    for worse in rolled_back:
        for _ in range(100):
            canary = _canary()
            for at in range(0, 20_000, 25):
                p = 0.8 + 0.1 * math.sin(at / 1_500)
                _add(canary.mine, n=(n_mine := int(generator.binomial(25, 0.1))), p=p - worse, generator=generator)
                _add(canary.others, n=25 - n_mine, p=p, generator=generator)
                if at > 100 and any(one.is_broken for one in _guarded(canary)):
                    rolled_back[worse] += 1
                    break
    assert rolled_back[0.0] <= 3
    assert rolled_back[0.15] == 100


def test_a_canary_that_cannot_score_is_seen_after_a_handful_of_payments() -> None:
    canary = _canary()
    canary.others = Tally(n_decisions=400, n_answered=400, n_approved=320, n_predicted=400)
    canary.mine = Tally(n_decisions=10, n_fallback=10, n_answered=10, n_approved=8)
    assert [one.name for one in _guarded(canary) if one.is_broken] == ["fallback"]


def test_a_canary_that_is_slow_is_seen_and_a_machine_that_is_slow_for_all_is_not() -> None:
    canary = _canary()
    canary.others, canary.mine = Tally(n_decisions=400, n_slow=2), Tally(n_decisions=60, n_slow=40)
    assert [one.name for one in _guarded(canary) if one.is_broken] == ["slow"]
    canary.others.n_slow = 300
    assert not any(one.is_broken for one in _guarded(canary))


def test_nothing_is_watched_without_a_bundle_to_go_back_to_or_when_its_time_is_over() -> None:
    stages = Stages()
    assert guarded(stages, limits=LIMITS, now_us=0) is None
    stages.live = NEW
    assert guarded(stages, limits=LIMITS, now_us=0) is None
    stages.before = OLD
    watched = guarded(stages, limits=LIMITS, now_us=0)
    assert watched is not None
    assert watched[0] == NEW
    assert guarded(stages, limits=LIMITS, now_us=int(LIMITS.watch_hours * 3.6e9)) is None


def _canary() -> Canary:
    return Canary(NEW, 1, [(0, 0.1)], Tally(), Tally())


def _guarded(canary: Canary) -> tuple[Guarded, ...]:
    stages = Stages()
    stages.live, stages.canary = OLD, canary
    watched = guarded(stages, limits=LIMITS, now_us=0)
    assert watched is not None
    return watched[1]


def _add(tally: Tally, *, n: int, p: float, generator: np.random.Generator) -> None:
    tally.n_decisions += n
    tally.n_answered += n
    tally.n_approved += int(generator.binomial(n, p))
