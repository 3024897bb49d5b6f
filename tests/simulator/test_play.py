"""The stage asks in the order of time, tells answers when they arrive, and pairs policies payment by payment."""

from __future__ import annotations

import pytest

from honour.errors import LogContractBroken
from honour.records.attempt import Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.simulator import scenario
from honour.simulator.baseline import STOP, Choice, RuledPolicy, Trail, fixed_route, oracle, random_route, success_rate_router
from honour.simulator.play import ATTEMPTS_MAX, attempts_of, history, play
from honour.simulator.world import World

WORLD = World(scenario.load("calm").sized(1_500), seed=2)


class Listening:
    """Passes everything on, and keeps the instants of questions and answers in the order in which they came."""

    def __init__(self, inner: RuledPolicy) -> None:
        self.inner = inner
        self.heard: list[tuple[str, float]] = []
        self.open: set[str] = set()

    def decide(self, request: DecisionRequest) -> Decision:
        assert request.at is not None
        assert request.payment.payment_id not in self.open, "asked again before the answer was in"
        self.heard.append(("decide", request.at.timestamp()))
        decision = self.inner.decide(request)
        if decision.action == "attempt":
            self.open.add(request.payment.payment_id)
        return decision

    def report(self, outcome: Outcome) -> None:
        assert outcome.at is not None
        self.heard.append(("report", outcome.at.timestamp()))
        self.open.discard(outcome.decision_id.rpartition("/")[0])
        self.inner.report(outcome)


def test_questions_and_answers_reach_the_policy_in_the_order_of_time() -> None:
    policy = Listening(random_route(WORLD))
    result = play(WORLD, policy=policy)
    instants = [at for _, at in policy.heard]
    assert instants == sorted(instants)
    assert sum(kind == "report" for kind, _ in policy.heard) == result.attempts.sum()
    assert not policy.open


def test_figures_add_up_payment_by_payment() -> None:
    result = play(WORLD, policy=fixed_route(WORLD, route="acq_us_1"))
    figures = result.figures()
    assert len(result.approved) == 1_500
    assert figures["payment_approval_rate"] == result.approved.mean()
    assert figures["attempts_per_payment"] == result.attempts.mean()
    assert figures["attempt_approval_rate"] == pytest.approx(result.approved.sum() / result.attempts.sum())
    assert (result.net_margin_minor[~result.approved] == -result.cost_minor[~result.approved]).all()
    assert figures["cost_per_approval_minor"] == pytest.approx(result.cost_minor.sum() / result.approved.sum())


def test_a_policy_played_twice_earns_the_same() -> None:
    first, second = (play(WORLD, policy=success_rate_router(WORLD)) for _ in range(2))
    assert first.net_margin_minor.tolist() == second.net_margin_minor.tolist()


def test_a_payment_is_over_once_it_is_approved_or_the_shopper_has_left() -> None:
    ended = set()
    for made in attempts_of(WORLD, policy=random_route(WORLD)):
        assert made.number not in ended
        if made.answer.status in ("approved", "abandoned"):
            ended.add(made.number)


class Stubborn:
    """Attempts the first candidate forever, whatever came back."""

    def decide(self, request: DecisionRequest) -> Decision:
        rule = RuledPolicy(lambda payment, at_us, trail: Choice(WORLD.candidates(payment)[0] if at_us and not trail.tried else None))
        return rule.decide(request)

    def report(self, outcome: Outcome) -> None:
        del outcome


def test_a_policy_that_never_stops_runs_into_the_stage_and_its_violations_are_counted() -> None:
    result = play(World(scenario.load("calm").sized(400), seed=2), policy=Stubborn())
    assert 3 < result.attempts.max() <= ATTEMPTS_MAX
    assert result.rule_violations > 0


def test_the_simple_policies_never_break_a_rule() -> None:
    for policy in (random_route(WORLD), fixed_route(WORLD, route="acq_br_2"), success_rate_router(WORLD), oracle(WORLD)):
        assert play(WORLD, policy=policy).rule_violations == 0


def test_a_wait_is_kept_while_the_merchant_goes_on_and_loses_a_shopper_who_will_not() -> None:
    day_us = 86_400_000_000

    def tomorrow(payment: Payment, at_us: int, trail: Trail) -> Choice:
        del trail
        assert payment.created_at is not None
        waited = at_us > to_us(payment.created_at) + day_us // 2
        return Choice(WORLD.candidates(payment)[0]) if waited else Choice(None, wait_until_us=at_us + day_us)

    made = list(attempts_of(WORLD, policy=RuledPolicy(tomorrow, attempts_max=1)))
    assert made
    assert {attempt.payment.initiator for attempt in made} == {"merchant"}


def test_a_wait_that_ends_before_it_begins_is_an_error() -> None:
    policy = RuledPolicy(lambda payment, at_us, trail: Choice(None, wait_until_us=at_us - 1 if payment and trail else at_us))
    with pytest.raises(LogContractBroken, match="wait_until"):
        play(WORLD, policy=policy)


def test_a_policy_that_stops_at_once_costs_nothing() -> None:
    result = play(WORLD, policy=RuledPolicy(lambda *_: STOP))
    assert result.attempts.sum() == 0
    assert result.figures()["net_margin_minor"] == 0.0


def test_history_arrives_in_order_and_every_attempt_has_its_own_name() -> None:
    events = list(history(WORLD, policy=random_route(WORLD, plain_share=0.7)))
    arrived = [event.attempt.happened_at for event in events if event.attempt.happened_at]
    assert len(arrived) == len(events)
    assert arrived == sorted(arrived)
    assert len({event.attempt.attempt_id for event in events}) == len(events)
    assert all(event.attempt.attempted_at <= event.attempt.happened_at for event in events if event.attempt.happened_at)
