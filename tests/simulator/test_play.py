"""The stage asks in the order of time, tells answers when they arrive, and pairs policies payment by payment."""

from __future__ import annotations

import msgspec
import pytest

from honour.errors import LogContractBroken
from honour.records.attempt import Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.instant import to_us
from honour.records.route import Route
from honour.simulator import scenario
from honour.simulator.baselines.fixed import fixed_route, random_route, static_rules, volume_split
from honour.simulator.baselines.oracle import oracle
from honour.simulator.baselines.router import success_rate_router
from honour.simulator.baselines.rule import STOP, Asked, Choice, RuledPolicy
from honour.simulator.event import Reporting
from honour.simulator.play import ATTEMPTS_MAX, Policy, attempts_of, history
from honour.simulator.played import play
from honour.simulator.world import World

WORLD = World(scenario.load("calm").sized(1_500), seed=2)


class Listening:
    """Passes everything on, and keeps the instants of questions and answers in the order in which they came."""

    def __init__(self, inner: Policy) -> None:
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

    def dispute(self, dispute: Dispute) -> None:
        self.inner.dispute(dispute)

    def take_routes(self, routes: tuple[Route, ...]) -> None:
        self.inner.take_routes(routes)


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
    refused = result.renewal & ~result.first_approved & (result.attempts > 0)
    assert refused.any()
    assert figures["renewal_recovery_rate"] == result.approved[refused].mean()
    retries = (result.attempts[refused] - 1).sum()
    assert figures["retries_per_renewal_recovered"] == pytest.approx(retries / result.approved[refused].sum())
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
        rule = RuledPolicy(lambda asked: Choice(WORLD.candidates(asked.payment)[0]), routes=WORLD.routes)
        return rule.decide(request)

    def report(self, outcome: Outcome) -> None:
        """Nothing is learned."""

    def dispute(self, dispute: Dispute) -> None:
        """Nothing is learned."""

    def take_routes(self, routes: tuple[Route, ...]) -> None:
        """Nothing is learned."""


def test_a_policy_that_never_stops_runs_into_the_stage_and_its_violations_are_counted() -> None:
    result = play(World(scenario.load("calm").sized(400), seed=2), policy=Stubborn())
    assert 3 < result.attempts.max() <= ATTEMPTS_MAX
    assert result.rule_violations == sum(result.broken_rules.values()) > 0
    assert any(rule.endswith("forbidden") for rule in result.broken_rules)


def test_the_simple_policies_never_break_a_rule() -> None:
    for policy in (
        random_route(WORLD),
        fixed_route(WORLD, route="acq_br_2"),
        success_rate_router(WORLD),
        static_rules(WORLD),
        oracle(WORLD),
    ):
        broken = [each for each in attempts_of(WORLD, policy=policy) if each.broken_rule and each.n_before > 0]
        assert not broken


def test_a_wait_is_kept_while_the_merchant_goes_on_and_loses_a_shopper_who_will_not() -> None:
    day_us = 86_400_000_000

    def tomorrow(asked: Asked) -> Choice:
        assert asked.payment.created_at is not None
        waited = asked.at_us > to_us(asked.payment.created_at) + day_us // 2
        return Choice(WORLD.candidates(asked.payment)[0]) if waited else Choice(None, wait_until_us=asked.at_us + day_us)

    made = list(attempts_of(WORLD, policy=RuledPolicy(tomorrow, routes=WORLD.routes, attempts_max=1)))
    assert made
    assert {attempt.payment.initiator for attempt in made} == {"merchant"}


def test_a_wait_that_ends_before_it_begins_is_an_error() -> None:
    policy = RuledPolicy(lambda asked: Choice(None, wait_until_us=asked.at_us - 1), routes=WORLD.routes)
    with pytest.raises(LogContractBroken, match="wait_until"):
        play(WORLD, policy=policy)


def test_a_policy_that_stops_at_once_costs_nothing() -> None:
    result = play(WORLD, policy=RuledPolicy(lambda _: STOP, routes=WORLD.routes))
    assert result.attempts.sum() == 0
    assert result.figures()["net_margin_minor"] == 0.0


def test_history_arrives_in_order_and_every_attempt_has_its_own_name() -> None:
    events = list(history(WORLD, policy=volume_split(WORLD)))
    arrived = [event.attempt.happened_at for event in events if event.attempt.happened_at]
    assert len(arrived) == len(events)
    assert arrived == sorted(arrived)
    assert len({event.attempt.attempt_id for event in events}) == len(events)
    assert all(event.attempt.attempted_at <= event.attempt.happened_at for event in events if event.attempt.happened_at)


def _reporting(event: Reporting) -> World:
    return World(msgspec.structs.replace(scenario.load("calm").lasting(1), events=(event,)), seed=2)


def test_answers_may_be_late_and_come_in_another_order_but_never_before_they_were_given() -> None:
    world = _reporting(Reporting(from_day=0, delay_s=600))
    made = list(attempts_of(world, policy=random_route(world)))
    late_s = [(each.heard_us - each.arrived_us) / 1e6 for each in made if each.heard_us is not None]
    assert len(late_s) == len(made)
    assert min(late_s) >= 0.0
    assert 500 < sum(late_s) / len(late_s) < 700
    assert [each.arrived_us for each in made] != sorted(each.arrived_us for each in made)


def test_a_lost_answer_ends_its_payment_and_is_never_reported_and_a_doubled_one_is_reported_twice() -> None:
    world = _reporting(Reporting(from_day=0, lost=0.2, duplicated=0.3))
    policy = Listening(random_route(world))
    made = list(attempts_of(world, policy=policy))
    lost = [each for each in made if each.heard_us is None]
    assert 0.15 < len(lost) / len(made) < 0.25
    assert len({each.number for each in lost}) == len(lost)
    assert all(each.n_before <= last for each in made if (last := {one.number: one.n_before for one in lost}.get(each.number)) is not None)
    n_reports = sum(kind == "report" for kind, _ in policy.heard)
    twice = sum(each.heard_twice for each in made)
    assert n_reports == len(made) - len(lost) + twice
    assert 0.25 < twice / (len(made) - len(lost)) < 0.35


def test_what_thieves_were_approved_for_is_disputed_weeks_later_and_counted_unless_it_was_authenticated() -> None:
    world = World(scenario.load("card_testing").sized(4_000), seed=2)
    heard: list[str] = []

    class Hearing(Listening):
        def dispute(self, dispute: Dispute) -> None:
            heard.append(dispute.payment_id)

    made = list(attempts_of(world, policy=Hearing(random_route(world))))
    stolen = {each.payment.payment_id for each in made if each.answer.status == "approved" and world.truth(each.payment).fraud}
    assert stolen
    assert set(heard) == stolen
    loss = play(world, policy=random_route(world)).fraud_loss_minor
    free = {
        each.number
        for each in made
        if each.payment.payment_id in stolen and each.answer.status == "approved" and each.answer.authentication_result is None
    }
    assert set(loss.nonzero()[0].tolist()) == free
