"""What came of refusals corrects what is thought of the next ones: at once, by form, and forgotten again."""

from __future__ import annotations

import numpy as np
import pytest

from honour.approval.followed import DAY_US, FOLLOWED_US, OPEN_MAX, P_MIN, Followed, expit
from honour.outcomes.state import State
from honour.records.attempt import Status

START_US = 1_772_366_400_000_000
MINUTE_US = 60_000_000


class Shop:
    """Payments a minute apart, each refused at first; a share of them is approved at the second try two minutes later."""

    def __init__(self, seed: int = 1) -> None:
        self.followed, self.luck = Followed(), np.random.default_rng(seed)
        self.now_us, self.n = START_US, 0

    def go(self, n: int, *, said: float, comes: float, form: str = "none") -> None:
        for _ in range(n):
            self.n += 1
            self.now_us += MINUTE_US
            p = self.thinks(said, form)
            self._attempt(f"dec_{self.n}", "declined", p, form, self.now_us)
            if self.luck.random() < comes:
                self._attempt(f"dec_{self.n}_again", "approved", 0.0, form, self.now_us + 2 * MINUTE_US)

    def thinks(self, said: float, form: str = "none", *, later_us: int = 0) -> float:
        """What is thought of a refusal in this form of which the retry model says `said`."""
        return expit(float(np.log(said / (1.0 - said))) + self.followed.shift(form, at_us=self.now_us + later_us))

    def _attempt(self, name: str, status: Status, p: float, form: str, at_us: int) -> None:
        self.followed.decided(name, f"pay_{self.n}", form=form, p_recovered=p, at_us=at_us)
        self.followed.answered(name, status=status, at_us=at_us)


def test_nothing_is_changed_before_anything_came() -> None:
    assert Shop().thinks(0.3) == pytest.approx(0.3)


@pytest.mark.truth
@pytest.mark.parametrize(("said", "comes"), [(0.3, 0.3), (0.3, 0.1), (0.3, 0.0), (0.2, 0.5)])
def test_what_is_thought_goes_to_what_comes_whatever_was_said(said: float, comes: float) -> None:
    thought = []
    for seed in range(30):
        shop = Shop(seed)
        shop.go(600, said=said, comes=comes)
        thought.append(shop.thinks(said))
    assert abs(float(np.mean(thought)) - comes) < 0.035
    assert float(np.std(thought)) < 0.04


def test_a_hundred_refusals_show_that_nobody_tries_again() -> None:
    shop = Shop()
    shop.go(60, said=0.3, comes=0.3)
    before = shop.thinks(0.3)
    shop.go(160, said=0.3, comes=0.0)
    assert before > 0.2
    assert shop.thinks(0.3) < 0.12


def test_forms_differ_and_one_that_was_never_tried_follows_the_others() -> None:
    shop = Shop()
    for _ in range(20):
        shop.go(10, said=0.3, comes=0.05, form="none")
        shop.go(10, said=0.3, comes=0.6, form="exemption_tra")
    assert shop.thinks(0.3, "none") < 0.15
    assert shop.thinks(0.3, "exemption_tra") > 0.45
    alone = Shop()
    alone.go(300, said=0.3, comes=0.0, form="none")
    assert alone.thinks(0.3, "three_ds") < 0.25


def test_what_came_long_ago_is_forgotten() -> None:
    shop = Shop()
    shop.go(300, said=0.3, comes=0.0)
    assert shop.thinks(0.3) < 0.1
    assert shop.thinks(0.3, later_us=60 * DAY_US) == pytest.approx(0.3, abs=0.01)


def test_an_approval_counts_for_every_refusal_before_it_and_later_than_an_hour_for_none() -> None:
    def shifts(second_us: int) -> float:
        followed = Followed()
        for name, status, at_us in (("a", "declined", 0), ("b", "failed", 1_000), ("c", "approved", second_us)):
            followed.decided(name, "pay_1", form="none", p_recovered=0.3, at_us=START_US + at_us)
            followed.answered(name, status=status, at_us=START_US + at_us)  # type: ignore[arg-type]  # a literal in a tuple
        followed.decided("d", "pay_2", form="none", p_recovered=0.3, at_us=START_US + 3 * FOLLOWED_US)
        followed.answered("d", status="declined", at_us=START_US + 3 * FOLLOWED_US)
        return followed.shift("none", at_us=START_US + 3 * FOLLOWED_US)

    assert shifts(MINUTE_US) > 0.0 > shifts(2 * FOLLOWED_US)


def test_unknown_answers_and_unknown_decisions_say_nothing() -> None:
    followed = Followed()
    followed.answered("never asked", status="declined", at_us=START_US)
    followed.decided("a", "pay_1", form="none", p_recovered=0.3, at_us=START_US)
    followed.answered("a", status="unknown", at_us=START_US)
    followed.answered("a", status="approved", at_us=START_US + MINUTE_US)
    assert followed.shift("none", at_us=START_US + MINUTE_US) == 0.0
    assert followed.to_plain() == ([], [], {})


def test_what_is_remembered_is_bounded_and_chances_of_nothing_are_finite() -> None:
    followed = Followed()
    for n in range(OPEN_MAX + 5):
        followed.decided(f"dec_{n}", f"pay_{n}", form="none", p_recovered=0.0, at_us=START_US)
    opened = followed.to_plain()[0]
    assert len(opened) == OPEN_MAX
    assert expit(opened[0][1][2]) == pytest.approx(P_MIN)


def test_a_state_that_was_written_goes_on_as_if_it_had_not_been() -> None:
    whole, cut = Shop(3), Shop(3)
    for shop in (whole, cut):
        shop.go(50, said=0.3, comes=0.2)
    state = State()
    state.followed = cut.followed
    cut.followed = State.from_bytes(state.to_bytes()).followed
    for shop in (whole, cut):
        shop.go(50, said=0.3, comes=0.2)
    assert cut.followed.to_plain() == whole.followed.to_plain()
