"""The engine: decide, record, learn. Six hops from a request to its answer, without HTTP and without waiting.

Single-threaded: one thread calls it. Every method takes the turn on the log, folds what other processes appended, validates, appends,
folds its own event, and returns the answer with a future that is done when the event is durable. Answer only then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Concatenate, Generic, NamedTuple, ParamSpec, TypeVar

import msgspec
import structlog

from honour.approval.retry_model import RetryModel
from honour.errors import BadInput, LogContractBroken, LogUnavailable
from honour.networks.code_map import translated
from honour.networks.retry_limit import Allowed
from honour.outcomes.match import facts_of, same_attempt, same_dispute, unknown_payment
from honour.outcomes.state import State
from honour.policy.decide import Decided, decide
from honour.policy.eligible import Eligibility
from honour.policy.explore import draw_for
from honour.policy.outlook import History
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest, RetryAllowance, Stage
from honour.records.event import (
    AttemptReported,
    DecisionMade,
    DisputeReported,
    Event,
    LoggedEvent,
    OutcomeReported,
    SettingsTaken,
    ShadowDecided,
    key_of,
)
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.release import ReleaseChanged
from honour.records.settings import Settings
from honour.serving.asked import check_routes, completed, on_timeline
from honour.serving.decider import Decider, Seen, canary_of, decision_id_of
from honour.serving.keys import without_secrets
from honour.serving.score import Model, Part, Scorer
from honour.serving.steps import OwnTime, Steps, done_at_once
from honour.stores.port import Durable, EventLog

Answer = TypeVar("Answer")
Result = TypeVar("Result")
Asked = ParamSpec("Asked")
_log = structlog.get_logger("honour")

AHEAD_US_MAX = 86_400_000_000
"""An answer further ahead of the clock cannot have happened; taken in, it would hold the log's arrival time there."""


class Answered(NamedTuple, Generic[Answer]):
    """An answer, and the newest event that must be durable before it leaves; None when nothing was ever taken in.

    route    route of the attempt that was chosen or reported, or None
    is_news  False when it repeats what stands and nothing was written down
    """

    answer: Answer
    durable: Durable | None
    route: str | None = None
    is_news: bool = True


def _in_turn(work: Callable[Concatenate[Engine, Asked], Result]) -> Callable[Concatenate[Engine, Asked], Result]:
    """Done in a turn of its own, or the one that is taken."""

    @wraps(work)
    def done(self: Engine, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Result:
        with self._turn_or_within():
            return work(self, *args, **kwargs)

    return done


class Engine:
    """Decides and learns on one event log, as one of the processes that do.

    state      what the log says so far (`serving.recovery.restore`)
    model      P(approve); None answers in the static order
    retry_model  what follows a refusal; None looks no further than one attempt
    bundle_id  names the model in decisions
    clock_us   microseconds since 1970; timer_ns counts nanoseconds for `elapsed_us`
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: EventLog,
        state: State,
        model: Model | None = None,
        retry_model: RetryModel | None = None,
        bundle_id: str | None = None,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
        timer_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.settings, self.log, self.state = settings, log, state
        self.live = Decider(bundle_id, model, retry_model, scorer=Scorer(timer_ns))
        self.canary: Decider | None = None
        self.watch: Callable[[Seen], None] | None = None  # Told of every decision that a model was asked about; must not wait.
        self._clock_us, self._timer_ns = clock_us, timer_ns
        self._eligibility = Eligibility(settings.routes)
        self._stopped: str | None = None
        self._decided_on: list[set[str]] = []  # Payment and card of each decision that is being made; empty once it is.
        self._n_within = 0  # Turns that are taken, one within the other.
        self._newest: Durable | None = None  # Durable last: what waits for it waits for everything before it.

    @property
    def why_not_ready(self) -> str | None:
        """Why nothing is accepted at present, or None."""
        return self._stopped or self.log.why_unavailable

    @property
    def failures(self) -> Mapping[Part, int]:
        """Decisions that no model scored although there is one, by why."""
        live, canary = self.live.scorer.failures, self.canary.scorer.failures if self.canary is not None else {}
        return {part: n + canary.get(part, 0) for part, n in live.items()}

    @property
    def bundle_id(self) -> str | None:
        """The bundle that decides for all payments that fell to no canary."""
        return self.live.bundle_id

    @property
    def is_stopped(self) -> bool:
        """The state is not what the log holds, until `resume`."""
        return self._stopped is not None

    @property
    def now_us(self) -> int:
        """The instant as of which a decision would be made now."""
        return max(self.log.last_arrived_us, self._clock_us())

    @property
    def newest(self) -> Durable | None:
        """The newest event that was taken in, done once it is durable; None when there was none since the start."""
        return self._newest

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While it lasts no other process appends, and the state is the fold of the whole log; may be nested."""
        self._check_ready()
        self.log.take_turn()
        self._n_within += 1
        try:
            while self.state.seq != self.log.last_seq:
                if not self.follow():
                    raise LogContractBroken(
                        f"the state ends at event {self.state.seq}, the log at {self.log.last_seq}. Restart the server."
                    )
            yield
        finally:
            self._n_within -= 1
            self.log.end_turn()

    def _turn_or_within(self) -> AbstractContextManager[None]:
        """A turn; none where one is taken: no other process appends, and what is appended here is folded."""
        if not self._n_within:
            return self.turn()
        self._check_ready()
        return nullcontext()

    def follow(self, *, n_max: int = 1_000) -> int:
        """Fold the next events that other processes appended; how many they were."""
        news = self.log.news(after_seq=self.state.seq, n_max=n_max)
        for logged in news:
            self.state.apply(logged)
        return len(news)

    def stop(self, why: str) -> None:
        """Accept nothing until `resume`: the log lost events that the state has folded."""
        self._stopped = why

    def resume(self, state: State) -> None:
        """Accept work again, with the state of what the log kept."""
        self.state, self._newest, self._stopped = state, None, None

    def decide(self, request: DecisionRequest, *, left_ns: Callable[[], int] | None = None) -> Answered[Decision]:
        """What should happen next to a payment. Asked again before its outcome is known, the same decision.

        left_ns  nanoseconds until the answer is due: with too few for the model, segment rates or the static order decide
        """
        return done_at_once(self.deciding(request, left_ns=left_ns))

    def deciding(self, request: DecisionRequest, *, left_ns: Callable[[], int] | None = None) -> Steps[Answered[Decision]]:
        """`decide` in steps, so that several decisions are made together; of those about one card or payment one goes after the other."""
        with self._turn_or_within():
            own = OwnTime(self._timer_ns)
            payment = completed(request.payment, self.settings)
            check_routes(request.routes, self.settings)
            about = {payment.payment_id, payment.card.card_id}
            ahead = [other for other in self._decided_on if not about.isdisjoint(other)]
            self._decided_on.append(about)
            try:
                while any(ahead):
                    yield
                return (yield from own.of(self._deciding(request, payment, left_ns=left_ns, own=own)))
            finally:
                self._decided_on = [other for other in self._decided_on if other is not about]
                about.clear()

    def _deciding(
        self, request: DecisionRequest, payment: Payment, *, left_ns: Callable[[], int] | None, own: OwnTime
    ) -> Steps[Answered[Decision]]:
        asked_us = self._clock_us() if request.at is None else on_timeline(request.at, path="$.at")
        if (pending := self.state.book.pending(payment)) is not None:
            return Answered(pending, self._newest, is_news=False)
        at_us = max(self.log.last_arrived_us, asked_us)
        terms = self.settings.terms_of(payment.merchant_id)
        allowed = self.state.retries.allowed(payment, at_us=at_us, reading=terms.disputed_rules)
        history = self.state.book.history(payment.payment_id)
        if self._eligibility.routes is not self.settings.routes:
            self._eligibility = Eligibility(self.settings.routes)
        last_code, refused = history.last_response_code, history.n_answered > 0
        considered = self._eligibility.of(payment, requested=request.routes, allowed=allowed, last_code=last_code, refused=refused)
        canary = canary_of(self.state.stages, payment, first_us=history.first_us, at_us=at_us, salt=self.settings.policy.salt)
        decider = self.canary if self.canary is not None and self.canary.bundle_id == canary else self.live
        yield
        scored = yield from decider.scorer.scoring(
            payment, considered.attempts, at_us=at_us, model=decider.model, state=self.state, policy=self.settings.policy, left_ns=left_ns
        )
        yield
        draw = draw_for(self.settings.policy.salt, payment.payment_id, history.n_answered + 1)
        decided = decide(
            payment,
            considered=considered,
            predicted=scored.predicted,
            terms=terms,
            allowed=allowed,
            history=history,
            fallback_order=self.settings.policy.fallback_order,
            draw=draw,
            at_us=at_us,
            retry_model=decider.retry_model,
        )
        yield
        stage = self._stage(decider, is_scored=scored.is_live)
        decision = self._rendered(
            payment, decided, allowed=allowed, history=history, decider=decider, stage=stage, at_us=at_us, elapsed_us=own.ns // 1_000
        )
        made = DecisionMade(
            payment=payment,
            decision=decision,
            decided_us=at_us,
            draw=draw,
            routes=request.routes,
            replayed=request.at is not None,
            log_away=self.log.journaled is not None,
            features=scored.features,
            canary=canary,
        )
        if self.watch is not None and scored.features is not None:
            self.watch(Seen(made, considered, allowed, history, scored.predicted))
        return Answered(decision, self._take_in(made, arrived_us=at_us), decision.attempt.route if decision.attempt else None)

    @_in_turn
    def report_outcome(self, outcome: Outcome) -> Answered[Outcome]:
        """Record what came back for a decision. The same again is answered with what stands; a contradiction is refused."""
        if (stands := self.state.book.standing(outcome)) is not None:
            return Answered(stands, self._newest, is_news=False)
        opened = self.state.book.opened(outcome.decision_id)
        outcome = translated(outcome, route=opened.candidate.route, settings=self.settings)
        if outcome.at is not None:
            arrived_us = on_timeline(outcome.at, path="$.at")
        elif opened.replayed:
            arrived_us = max(opened.decided_us, on_timeline(outcome.happened_at, path="$.happened_at") if outcome.happened_at else 0)
        else:
            arrived_us = self._clock_us()
        event = OutcomeReported(payment_id=opened.payment.payment_id, outcome=outcome)
        return Answered(outcome, self._take_in(event, arrived_us=arrived_us), opened.candidate.route)

    @_in_turn
    def report_attempt(self, attempt: Attempt) -> Answered[Attempt]:
        """Record an attempt that Honour did not choose. Its arrival is its answer's instant, never before the log's end."""
        attempt = translated(attempt, route=attempt.route, settings=self.settings)
        payment = completed(attempt.payment, self.settings)
        self.state.book.check_merchant(payment)
        if self._attempt_stands(attempt):
            return Answered(attempt, self._newest, attempt.route, is_news=False)
        name = "attempted_at" if attempt.happened_at is None else "happened_at"
        happened_at = attempt.happened_at or attempt.attempted_at
        if to_us(happened_at) > max(self._clock_us(), self.log.last_arrived_us) + AHEAD_US_MAX:
            raise BadInput(
                f"{happened_at.isoformat()} is more than a day ahead of the server's clock; report it when it has happened.",
                path=f"$.{name}",
            )
        event = AttemptReported(attempt=attempt if payment is attempt.payment else msgspec.structs.replace(attempt, payment=payment))
        return Answered(attempt, self._take_in(event, arrived_us=to_us(happened_at)), attempt.route)

    @_in_turn
    def report_dispute(self, dispute: Dispute) -> Answered[Dispute]:
        """Record a chargeback or fraud report about a payment that the log knows."""
        stands = self.state.book.dispute_stands(dispute)
        if stands is None and (logged := self.log.find(f"dispute:{dispute.dispute_id}")) is not None:
            assert isinstance(logged.event, DisputeReported)
            stands = same_dispute(dispute, stands=logged.event.dispute)
        if stands is not None:
            return Answered(stands, self._newest, is_news=False)
        if dispute.payment_id not in self.state.book and not self.log.story(dispute.payment_id):
            raise unknown_payment(dispute.payment_id)
        return Answered(dispute, self._take_in(DisputeReported(dispute=dispute), arrived_us=self._clock_us()))

    @_in_turn
    def take_settings(self, settings: Settings, *, by: str | None = None) -> Durable:
        """Decide by these settings from now on; they are written to the log, without their secrets. `by`: who changed them."""
        taken = SettingsTaken(settings=without_secrets(settings), by=by, at=from_us(self._clock_us()))
        durable = self._take_in(taken, arrived_us=self.log.last_arrived_us)
        self.settings = settings
        return durable

    @_in_turn
    def take_release(self, change: ReleaseChanged, *, unless_changed_since: int | None = None) -> Durable | None:
        """Write down which bundle has which part from now on; None when another change came first, after so many."""
        if unless_changed_since is not None and self.state.stages.changes != unless_changed_since:
            return None
        return self._take_in(change, arrived_us=self.log.last_arrived_us)

    def take_shadow(self, decided: ShadowDecided) -> Durable | None:
        """Write down what a challenger would have done; None when it is there already, or its decision was lost."""
        with self.turn():
            known = self.log.find(key_of(decided) or "") is not None or self.log.find(f"decision:{decided.decision_id}") is None
            return None if known else self._take_in(decided, arrived_us=self.log.last_arrived_us)

    def _rendered(
        self,
        payment: Payment,
        decided: Decided,
        *,
        allowed: Allowed,
        history: History,
        decider: Decider,
        stage: Stage,
        at_us: int,
        elapsed_us: int,
    ) -> Decision:
        ends_us = allowed.window_ends_us
        return Decision(
            decision_id=decision_id_of(payment.payment_id, seq=self.log.last_seq + 1, at_us=at_us, salt=self.settings.policy.salt),
            payment_id=payment.payment_id,
            attempt_number=history.n_answered + 1,
            action=decided.action,
            attempt=decided.chosen,
            wait_until=from_us(decided.wait_until_us) if decided.wait_until_us is not None else None,
            reason=decided.reason,
            ranking=decided.ranking,
            retry=RetryAllowance(
                attempts_left=allowed.attempts_left, window_ends_at=from_us(ends_us) if ends_us is not None else None, rule=allowed.rule
            ),
            experiment=None,
            stage=stage,
            bundle=decider.bundle_id if stage != "fallback" else None,
            elapsed_us=elapsed_us,
        )

    def _stage(self, decider: Decider, *, is_scored: bool) -> Stage:
        return "fallback" if not is_scored else "canary" if decider is self.canary else "live"

    def _attempt_stands(self, attempt: Attempt) -> bool:
        """The same attempt stands already, in the book or, from longer ago, in the log; Contradiction when another does."""
        stands = self.state.book.attempt_stands(attempt)
        if stands is not None:
            return stands
        for key in {f"attempt:{attempt.attempt_id}", key_of(AttemptReported(attempt=attempt)) or ""}:
            if (logged := self.log.find(key)) is not None and isinstance(logged.event, AttemptReported):
                known = logged.event.attempt
                return same_attempt(attempt, payment_id=known.payment.payment_id, stands=facts_of(known))
        return False

    def _take_in(self, event: Event, *, arrived_us: int) -> Durable:
        """Append and fold. The log may raise an earlier arrival to its last; the state folds what the log wrote."""
        arrived_us = max(arrived_us, self.log.last_arrived_us)
        is_new = isinstance(event, DecisionMade | OutcomeReported)  # The book has said so.
        durable = self.log.append(event, arrived_us=arrived_us, is_new=is_new)
        self.state.apply(LoggedEvent(seq=self.log.last_seq, arrived_us=arrived_us, event=event))
        self._newest = durable
        return durable

    def _check_ready(self) -> None:
        if (why := self.why_not_ready) is not None:
            raise LogUnavailable(
                f"the event log keeps nothing at present: {why}. Nothing was accepted; send it again, the same key has the same effect."
            )
