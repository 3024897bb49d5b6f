"""Streams of decisions and answers, and the state that a server would hold at their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from honour.features.catalogue import CATALOGUE
from honour.features.online import FeatureState
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import ChosenAttempt, Decision, RankedCandidate, Reason, RetryAllowance
from honour.records.event import AttemptReported, DecisionMade, Event, LoggedEvent, OutcomeReported, ServedFeatures
from honour.records.instant import from_us
from honour.records.payment import Card, Customer, Payment
from honour.records.route import Candidate

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
START_US = 1_772_323_200 * SECOND  # Sunday 2026-03-01 00:00 UTC: a boundary of every tile, a week before New York changes its clocks.
CARD = Card(card_id="crd_1", bin="411111", network="visa")
CANDIDATES = [
    Candidate("acq_1", "none", "pan"),
    Candidate("acq_1", "three_ds", "pan"),
    Candidate("acq_2", "none", "network_token"),
    Candidate("acq_3", "none", "pan"),
]
# Up to, onto and just past the edges of tiles and windows.
EDGES = [5 * MINUTE, 55 * MINUTE, HOUR, DAY - 5 * MINUTE, DAY - HOUR, DAY, 7 * DAY - HOUR, 29 * DAY, 30 * DAY]
PASSING = [0, 1, SECOND, *EDGES, HOUR - 1, DAY - 1, 30 * DAY - 1]
ATTRIBUTES: list[dict[str, float | int | str | bool | None]] = [
    {},
    {"basket_items": 3, "loyalty": "gold"},
    {"basket_items": 2.5, "loyalty": True},
    {"basket_items": "many", "loyalty": 1},
]
STATUSES = ["approved", "declined", "failed", "abandoned", "unknown"]


@dataclass
class World:
    """A log under construction with the state that a server would hold."""

    now_us: int = START_US
    log: list[LoggedEvent] = field(default_factory=list)
    state: FeatureState = field(default_factory=FeatureState)
    waiting: list[DecisionMade] = field(default_factory=list)

    def append(self, event: Event) -> None:
        self.log.append(LoggedEvent(seq=len(self.log) + 1, arrived_us=self.now_us, event=event))

    def decide(self, payment: Payment, candidates: list[Candidate], *, logs_features: bool = True) -> None:
        features = self.state.as_of(payment, candidates, at_us=self.now_us)
        ranking = tuple(
            RankedCandidate(route=c.route, authentication=c.authentication, credential=c.credential, eligible=True) for c in candidates
        )
        chosen = candidates[-1]
        decision = Decision(
            decision_id=f"dec_{len(self.log)}",
            payment_id=payment.payment_id,
            attempt_number=1,
            action="attempt",
            attempt=ChosenAttempt(route=chosen.route, authentication=chosen.authentication, credential=chosen.credential, propensity=0.5),
            wait_until=None,
            reason=Reason(code="highest_expected_value", detail=""),
            ranking=ranking,
            retry=RetryAllowance(attempts_left=None, window_ends_at=None, rule=None),
            experiment=None,
            stage="live",
            bundle=None,
            elapsed_us=1,
        )
        made = DecisionMade(
            payment=payment, decision=decision, decided_us=self.now_us, draw=0.5, features=features if logs_features else None
        )
        self.append(made)
        self.waiting.append(made)

    def answer(self, made: DecisionMade, *, status: Any, response_code: str | None) -> None:
        outcome = Outcome(decision_id=made.decision.decision_id, status=status, response_code=response_code)
        self.append(OutcomeReported(payment_id=made.payment.payment_id, outcome=outcome))
        fold(self.state, self.log[-1], decisions={made.decision.decision_id: made})
        if status != "unknown":
            self.waiting.remove(made)

    def attempt(self, payment: Payment, candidate: Candidate, *, attempted_us: int, status: Any, response_code: str | None) -> None:
        attempt = Attempt(
            attempt_id=f"att_{len(self.log)}",
            payment=payment,
            route=candidate.route,
            authentication=candidate.authentication,
            credential=candidate.credential,
            attempted_at=from_us(attempted_us),
            status=status,
            response_code=response_code,
        )
        self.append(AttemptReported(attempt=attempt))
        fold(self.state, self.log[-1], decisions={})


def fold(state: FeatureState, logged: LoggedEvent, *, decisions: dict[str, DecisionMade]) -> None:
    match logged.event:
        case OutcomeReported(outcome=outcome):
            made = decisions[outcome.decision_id]
            chosen = made.decision.attempt
            assert chosen is not None
            candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
            state.update(made.payment, candidate, status=outcome.status, response_code=outcome.response_code, arrived_us=logged.arrived_us)
        case AttemptReported(attempt=a):
            candidate = Candidate(a.route, a.authentication, a.credential)
            state.update(a.payment, candidate, status=a.status, response_code=a.response_code, arrived_us=logged.arrived_us)
        case _:
            pass


def a_payment(draw: Any) -> Payment:
    number = draw(st.integers(0, 4))
    issuer_country = draw(st.sampled_from(["BR", "US", None]))
    return Payment(
        payment_id=f"pay_{number}",
        merchant_id=draw(st.sampled_from(["mer_1", "mer_2"])),
        amount_minor=draw(st.sampled_from([0, 1, 999, 10**12])),
        currency=draw(st.sampled_from(["BRL", "USD"])),
        card=Card(
            card_id=f"crd_{number % 3}",
            bin=draw(st.sampled_from(["411111", "555555"])),
            network=draw(st.sampled_from(["visa", "mastercard"])),
            funding=draw(st.sampled_from(["credit", None])),
            issuer=draw(st.sampled_from(["itau", "", None])),
            issuer_country=issuer_country,
            network_token=draw(st.booleans()),
        ),
        mcc=draw(st.sampled_from(["5732", None])),
        risk_score=draw(st.sampled_from([None, 0.25])),
        customer=draw(st.sampled_from([None, Customer(country="MA"), Customer(country=None)])),
        attributes=draw(st.sampled_from(ATTRIBUTES)),
    )


@st.composite
def worlds(draw: Any) -> World:
    """Decisions, outcomes late and out of order, attempts and restarts, over few payments, cards, routes and merchants."""
    world = World()
    code = st.sampled_from(["00", "05", "51", None])
    for kind in draw(st.lists(st.sampled_from(["decide", "decide", "answer", "answer", "attempt", "restart"]), min_size=1, max_size=24)):
        world.now_us += draw(st.sampled_from(PASSING))
        match kind:
            case "decide":
                world.decide(a_payment(draw), draw(st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=3, unique=True)))
            case "answer" if world.waiting:
                world.answer(draw(st.sampled_from(world.waiting)), status=draw(st.sampled_from(STATUSES)), response_code=draw(code))
            case "attempt":
                attempted_us = world.now_us - draw(st.sampled_from([*PASSING, -SECOND]))
                candidate = draw(st.sampled_from(CANDIDATES))
                world.attempt(
                    a_payment(draw), candidate, attempted_us=attempted_us, status=draw(st.sampled_from(STATUSES)), response_code=draw(code)
                )
            case "restart":
                world.state = FeatureState.from_bytes(world.state.to_bytes())
            case _:
                pass
    return world


def by_name(served: ServedFeatures, at: int) -> dict[str, Any]:
    return dict(zip(CATALOGUE.names, (*served.payment, *served.candidates[at]), strict=True))
