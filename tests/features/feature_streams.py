"""Streams of decisions and answers, and the state that a server would hold at their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS
from honour.features.online import FeatureState
from honour.features.view import DAY as DAY_S
from honour.features.view import HOUR as HOUR_S
from honour.features.view import Catalogue, ContextFeature, DecayedFeature, Feature, LastFeature, WindowFeature
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
    catalogue: Catalogue = CATALOGUE
    log: list[LoggedEvent] = field(default_factory=list)
    waiting: list[DecisionMade] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = FeatureState(self.catalogue)

    def restart(self) -> None:
        self.state = FeatureState.from_bytes(self.state.to_bytes(), catalogue=self.catalogue)

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

    def answer(self, made: DecisionMade, *, status: Any, response_code: str | None, latency_ms: float | None = None) -> None:
        outcome = Outcome(decision_id=made.decision.decision_id, status=status, response_code=response_code, latency_ms=latency_ms)
        self.append(OutcomeReported(payment_id=made.payment.payment_id, outcome=outcome))
        fold(self.state, self.log[-1], decisions={made.decision.decision_id: made})
        if status != "unknown":
            self.waiting.remove(made)

    def attempt(
        self,
        payment: Payment,
        candidate: Candidate,
        *,
        attempted_us: int,
        status: Any,
        response_code: str | None,
        latency_ms: float | None = None,
    ) -> None:
        attempt = Attempt(
            attempt_id=f"att_{len(self.log)}",
            payment=payment,
            route=candidate.route,
            authentication=candidate.authentication,
            credential=candidate.credential,
            attempted_at=from_us(attempted_us),
            status=status,
            response_code=response_code,
            latency_ms=latency_ms,
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
            _update(state, made.payment, candidate, outcome, arrived_us=logged.arrived_us)
        case AttemptReported(attempt=a):
            candidate = Candidate(a.route, a.authentication, a.credential)
            _update(state, a.payment, candidate, a, arrived_us=logged.arrived_us)
        case _:
            pass


def _update(state: FeatureState, payment: Payment, candidate: Candidate, answer: Outcome | Attempt, *, arrived_us: int) -> None:
    state.update(
        payment,
        candidate,
        status=answer.status,
        response_code=answer.response_code,
        arrived_us=arrived_us,
        latency_ms=answer.latency_ms,
    )


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
            expires=draw(st.sampled_from([None, "2025-12", "2026-02", "2026-03", "2031-01"])),
            network_token=draw(st.booleans()),
        ),
        mcc=draw(st.sampled_from(["5732", None])),
        risk_score=draw(st.sampled_from([None, 0.25])),
        customer=draw(st.sampled_from([None, Customer(country="MA"), Customer(country=None)])),
        attributes=draw(st.sampled_from(ATTRIBUTES)),
    )


@st.composite
def worlds(draw: Any, catalogue: Catalogue = CATALOGUE, *, n_max: int = 24) -> World:
    """Decisions, outcomes late and out of order, attempts and restarts, over few payments, cards, routes and merchants."""
    world = World(catalogue=catalogue)
    code = st.sampled_from(["00", "05", "51", "51", None])
    latency = st.sampled_from([None, 0.0, 1.0, 2.9, 5.0, 250.0, 131_072.0, 1e300])
    for kind in draw(st.lists(st.sampled_from(["decide", "decide", "answer", "answer", "attempt", "restart"]), min_size=1, max_size=n_max)):
        world.now_us += draw(st.sampled_from(PASSING))
        match kind:
            case "decide":
                world.decide(a_payment(draw), draw(st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=3, unique=True)))
            case "answer" if world.waiting:
                made = draw(st.sampled_from(world.waiting))
                world.answer(made, status=draw(st.sampled_from(STATUSES)), response_code=draw(code), latency_ms=draw(latency))
            case "attempt":
                # Clocks differ: an attempt may say that it was sent before, or a second after, it is told.
                world.attempt(
                    a_payment(draw),
                    draw(st.sampled_from(CANDIDATES)),
                    attempted_us=world.now_us - draw(st.sampled_from([*PASSING, -SECOND])),
                    status=draw(st.sampled_from(STATUSES)),
                    response_code=draw(code),
                    latency_ms=draw(latency),
                )
            case "restart":
                world.restart()
            case _:
                pass
    return world


def by_name(served: ServedFeatures, at: int, catalogue: Catalogue = CATALOGUE) -> dict[str, Any]:
    return dict(zip(catalogue.names, (*served.payment, *served.candidates[at]), strict=True))


def _every_aggregation() -> Catalogue:
    """Each aggregation, over narrow and wide entities, of all answers and of some."""
    card: dict[str, Any] = {"entity": ("card_id",), "window_s": HOUR_S, "tile_s": 300}
    declined: dict[str, Any] = {"entity": ("payment_id",), "window_s": DAY_S, "tile_s": HOUR_S, "only": "insufficient_funds"}
    by_hour: dict[str, Any] = {"entity": ("merchant_id", "local_hour_of_week"), "window_s": 30 * DAY_S, "tile_s": DAY_S}
    measures = ("count", "next_number", "approval_rate", "declined_rate", "failed_rate", "abandoned_rate", "amount_ratio")
    found: list[Feature] = [WindowFeature(name=f"card_{measure}", measure=measure, **card) for measure in measures]  # type: ignore[arg-type]  # one of the measures
    for at, about in (("card", card), ("declined", declined), ("by_hour", by_hour)):
        found.append(WindowFeature(name=f"{at}_high_latency", measure="quantile", of="latency_ms", q=0.9, **about))
        found.append(WindowFeature(name=f"{at}_mean_latency", measure="mean", of="latency_ms", **about))
        found.append(LastFeature(name=f"{at}_second_latency", column="latency_ms", nth=2, **about))
        found.append(LastFeature(name=f"{at}_last_reason", column="reason", **about))
    found.append(WindowFeature(name="card_median_amount", measure="quantile", of="amount_minor", q=0.5, **card))
    found.append(WindowFeature(name="card_amount", measure="sum", of="amount_minor", **card))
    for of in ("route", "merchant_id", "response_code", "reason"):
        found.append(WindowFeature(name=f"card_distinct_{of}", measure="distinct", of=of, **card))
    found.append(WindowFeature(name="declined_distinct_route", measure="distinct", of="route", **declined))
    found.append(LastFeature(name="card_since_approval", column="seconds_since", only="approved", **card))
    for half_life_s in (HOUR_S, 7 * DAY_S):
        found.append(DecayedFeature(name=f"card_fading_{half_life_s}", entity=("card_id",), measure="count", half_life_s=half_life_s))
        found.append(
            DecayedFeature(name=f"fading_{half_life_s}", entity=(), measure="approval_rate", half_life_s=half_life_s, only="declined")
        )
    found.append(DecayedFeature(name="rate", entity=(), measure="approval_rate", half_life_s=DAY_S))
    candidate = [ContextFeature(name=name, kind="category", level="candidate") for name in CANDIDATE_COLUMNS]
    route = DecayedFeature(
        name="route_rate", entity=("route",), measure="approval_rate", half_life_s=HOUR_S, shrink_to="rate", strength=3.0
    )
    return Catalogue((*found, *candidate, route))


EVERY_AGGREGATION = _every_aggregation()
