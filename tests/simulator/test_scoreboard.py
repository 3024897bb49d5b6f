"""The scoreboard compares in pairs and says what it cannot say."""

from __future__ import annotations

import pytest

from honour.errors import BadInput
from honour.simulator import scenario
from honour.simulator.baselines.fixed import fixed_route, random_route
from honour.simulator.baselines.oracle import oracle
from honour.simulator.lineup import standard_policies
from honour.simulator.scoreboard import MARGIN, mean_interval, ratio_interval, scoreboard, table
from honour.simulator.world import World

WORLDS = [World(scenario.load("calm").sized(300), seed=seed) for seed in (1, 2, 3)]


def test_the_best_fixed_route_is_the_zero_and_the_oracle_the_hundred() -> None:
    board = scoreboard(WORLDS, policies=standard_policies(WORLDS[0]))
    rows = {row.policy: row for row in board.rows}
    fixed = [row for row in board.rows if row.policy.startswith("fixed ")]
    assert board.best_fixed == max(fixed, key=lambda row: row.figures[MARGIN].value).policy
    assert rows[board.best_fixed].over_best_fixed[MARGIN].value == 0.0
    closed = rows["oracle"].gap_closed[MARGIN]
    assert closed is not None
    assert closed.value == pytest.approx(1.0)
    assert board.n_payments == 900
    columns, cells = table(board)
    assert all(len(line) == len(columns) for line in cells)


def test_without_the_oracle_no_share_of_the_gap_is_stated() -> None:
    board = scoreboard(WORLDS[:1], policies={"fixed acq_us_1": lambda world: fixed_route(world, route="acq_us_1"), "random": random_route})
    assert all(set(row.gap_closed.values()) == {None} for row in board.rows)
    assert all(row.figures[MARGIN].low is None for row in board.rows)


def test_a_scoreboard_without_a_fixed_route_is_refused() -> None:
    with pytest.raises(BadInput, match="fixed"):
        scoreboard(WORLDS, policies={"oracle": oracle})


def test_a_ratio_of_proportional_values_is_exact_and_a_gap_of_nothing_has_no_share() -> None:
    interval = ratio_interval([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert interval is not None
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio_interval([1.0, 1.0], [1.0, -1.0]) is None


def test_the_interval_of_a_mean_is_that_of_students_t() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert interval.low == pytest.approx(2.5 - 3.182 * 1.2909944487 / 2)
