"""The policies to play against do what their names say, with propensities that are true."""

from __future__ import annotations

import math
from collections import Counter

from honour.records.decision import DecisionRequest
from honour.records.payment import Payment
from honour.simulator import scenario
from honour.simulator.acquirer import carries, cost_minor
from honour.simulator.baselines.bandit_router import glr_router, thompson_router
from honour.simulator.baselines.fixed import cheapest_first, fixed_route, static_rules, volume_split
from honour.simulator.baselines.knowable import knowable_oracle
from honour.simulator.baselines.oracle import oracle
from honour.simulator.baselines.router import success_rate_router
from honour.simulator.baselines.rule import RuledPolicy
from honour.simulator.event import Outage
from honour.simulator.play import attempts_of
from honour.simulator.played import play
from honour.simulator.world import World

WORLD = World(scenario.load("calm").sized(2_000), seed=5)


def _first_route(payment: Payment, policy: RuledPolicy) -> str:
    decision = policy.decide(DecisionRequest(payment=payment, at=payment.created_at))
    assert decision.attempt is not None
    return decision.attempt.route


def test_a_fixed_route_is_taken_wherever_it_carries_the_payment() -> None:
    policy = fixed_route(WORLD, route="acq_fr_1")
    for payment in WORLD.payments():
        able = [route.id for route in WORLD.routes if carries(route, payment=payment)]
        assert _first_route(payment, policy) == ("acq_fr_1" if "acq_fr_1" in able else able[0])


def test_cheapest_first_takes_the_route_on_which_an_approval_costs_least() -> None:
    policy = cheapest_first(WORLD)
    for payment in WORLD.payments():
        costs = {
            route.id: cost_minor(route, payment=payment, authentication="none", approved=True)
            for route in WORLD.routes
            if carries(route, payment=payment)
        }
        assert costs[_first_route(payment, policy)] == min(costs.values())


def test_the_volume_split_draws_with_the_propensities_it_states() -> None:
    """The sum of 1 / propensity over first attempts estimates the number of candidates that could have been taken."""
    made = [each for each in attempts_of(WORLD, policy=volume_split(WORLD)) if each.n_before == 0]
    possible = sum(len(WORLD.candidates(each.payment)) for each in made)
    estimate = sum(1.0 / each.propensity for each in made)
    spread = math.sqrt(sum(1.0 / each.propensity**2 for each in made))
    assert abs(estimate - possible) < 4.0 * spread


def test_the_success_rate_router_leaves_a_route_that_stopped_answering_and_explores_at_its_rate() -> None:
    broken = World(
        scenario.Scenario(
            name="mine",
            start=scenario.load("calm").start,
            days=4,
            payments_per_day=1_000,
            events=(Outage(route="acq_us_1", from_day=1, to_day=4, share=1.0),),
        ),
        seed=5,
    )
    made = list(attempts_of(broken, policy=success_rate_router(broken, window=50)))
    late = [each for each in made if each.n_before == 0 and each.payment.currency == "USD"][-400:]
    taken = Counter(each.candidate.route for each in late)
    assert taken["acq_us_1"] < 0.1 * len(late)
    explored = sum(each.propensity < 0.5 for each in late) / len(late)
    assert 0.01 < explored < 0.12


def test_after_an_issuer_asks_for_authentication_the_simple_policies_give_it() -> None:
    attempts: dict[int, list[tuple[str | None, str, str]]] = {}
    for each in attempts_of(WORLD, policy=fixed_route(WORLD, route="acq_gb_1")):
        attempts.setdefault(each.number, []).append((each.answer.response_code, each.candidate.route, each.candidate.authentication))
    followed = [(first, second) for first, second, *_ in (each for each in attempts.values() if len(each) > 1) if first[0] == "1A"]
    assert followed
    assert all(second[2] == "three_ds" and second[1] == first[1] for first, second in followed)


def test_static_rules_try_a_refused_renewal_again_on_their_days_and_no_more() -> None:
    made: dict[int, list[float]] = {}
    for each in attempts_of(WORLD, policy=static_rules(WORLD, days=(1, 3))):
        if each.payment.initiator == "merchant":
            assert each.payment.created_at is not None
            made.setdefault(each.number, []).append((each.at_us - each.payment.created_at.timestamp() * 1e6) / 86_400e6)
    assert max(len(days) for days in made.values()) == 3
    assert all([round(day) for day in days] == [0, 1, 3][: len(days)] for days in made.values())


def test_what_can_be_known_is_worth_less_than_the_truth_and_more_than_rules() -> None:
    truth, known, rules = (play(WORLD, policy=make(WORLD)).figures() for make in (oracle, knowable_oracle, static_rules))
    assert min(truth["expected_margin_minor"], known["expected_margin_minor"]) > rules["expected_margin_minor"]
    assert truth["attempt_approval_rate"] > known["attempt_approval_rate"] > rules["attempt_approval_rate"]


def test_routers_learn_of_routes_that_open_and_of_new_fees() -> None:
    opening = World(scenario.load("new_route").sized(1_500), seed=5)
    policy = fixed_route(opening, route="acq_us_3")
    made = [each for each in attempts_of(opening, policy=policy) if each.candidate.route == "acq_us_3"]
    assert made
    first_us = opening.conditions.changes_us()[-1]
    assert all(each.at_us >= first_us for each in made)


def test_a_bandit_router_leaves_a_route_that_stopped_answering() -> None:
    broken = World(
        scenario.Scenario(
            name="mine",
            start=scenario.load("calm").start,
            days=4,
            payments_per_day=1_000,
            events=(Outage(route="acq_us_1", from_day=1, to_day=4),),
        ),
        seed=5,
    )
    for make in (thompson_router, glr_router):
        late = [each for each in attempts_of(broken, policy=make(broken)) if each.n_before == 0 and each.payment.currency == "USD"][-300:]
        assert sum(each.candidate.route == "acq_us_1" for each in late) < 0.25 * len(late)
