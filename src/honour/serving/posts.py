"""POSTs of one record, decisions and reports, from a whole body to the bytes that answer it, without a coroutine for each.

A POST waits twice: for its turn in the queue, then until its event is durable. `UnderWay` stands in for a future at both places.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from honour.errors import LogUnavailable
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.serving import wire
from honour.serving.body import Headers, check_type
from honour.serving.deadline import Deadline
from honour.serving.durable import Waiting
from honour.serving.hot_path import Answered, Engine
from honour.serving.isolation import reported
from honour.serving.keys import Holder
from honour.serving.metrics import Metrics
from honour.serving.queue import Queue, Rank
from honour.serving.wire import Problem

Path = Literal["/v1/decisions", "/v1/outcomes", "/v1/attempts", "/v1/disputes"]
Tell = Callable[[bytes | Problem], None]
"""Takes the answer: a body, or what is wrong."""

_PARSERS: dict[Path, Callable[[bytes], Any]] = {
    "/v1/decisions": wire.parse_request,
    "/v1/outcomes": wire.parse_outcome,
    "/v1/attempts": wire.parse_attempt,
    "/v1/disputes": wire.parse_dispute,
}
PATHS = tuple(_PARSERS)


class Asked(NamedTuple):
    """Who asks, with which headers, and by when the answer is due; bulk bodies may have no deadline."""

    headers: Headers
    holder: Holder
    deadline: Deadline | None


class Posts:
    """Answers POSTs of one record.

    problem_of  what is said of an error, counted
    """

    def __init__(
        self, engine: Engine, *, queue: Queue, waiting: Waiting, metrics: Metrics, problem_of: Callable[[Exception], Problem]
    ) -> None:
        self.engine, self.queue, self.waiting, self.metrics, self.problem_of = engine, queue, waiting, metrics, problem_of

    def check(self, asked: Asked) -> None:
        """Refuse before the body is read."""
        self.check_ready()
        check_type(asked.headers, ("json",), advice="Send application/json (curl -H 'content-type: application/json').")

    def check_ready(self) -> None:
        """Raise LogUnavailable while nothing can be kept."""
        if (why := self.engine.why_not_ready) is not None:
            raise LogUnavailable(f"nothing can be kept at present: {why}. Nothing was accepted.")

    def answer(self, path: Path, body: bytes, asked: Asked, *, tell: Tell) -> UnderWay:
        """Answer a body: `tell` is called once, now or later; never after `forget` of what is returned."""
        under_way = UnderWay(self, asked, tell)
        try:
            record = _PARSERS[path](body)
            if path == "/v1/decisions":
                payment = record.payment
                asked.holder.check_merchant(payment.merchant_id)
                rank: Rank = "in_progress" if self.engine.state.book.is_in_progress(payment.payment_id) else "decision"
                left_ns = asked.deadline.left_ns if asked.deadline is not None else None
                work: Callable[[], Any] = partial(self.engine.deciding, record, left_ns=left_ns)
            else:
                rank, work = "report", partial(self.report, record, asked.holder)
            self.queue.add(rank, work, under_way, deadline=asked.deadline)
        except Exception as error:  # The last line: every error leaves as a problem document.
            under_way.set_exception(error)
        return under_way

    def report(self, report: wire.Report, holder: Holder) -> Answered[Any]:
        """Take a report in, when it is this holder's."""
        answered = reported(report, holder=holder, engine=self.engine, take=partial(self._take, report))
        if not answered.is_news:
            return answered
        if isinstance(report, Dispute):
            self.metrics.disputed()
        else:
            self.metrics.answered(report.status, route=answered.route, source="decision" if isinstance(report, Outcome) else "attempt")
        return answered

    def _take(self, report: wire.Report) -> Answered[Any]:
        if isinstance(report, Outcome):
            return self.engine.report_outcome(report)
        return self.engine.report_attempt(report) if isinstance(report, Attempt) else self.engine.report_dispute(report)


class UnderWay:
    """One POST on its way: first what waits for its turn, then what waits until its event is durable."""

    __slots__ = ("_asked", "_body", "_is_over", "_posts", "_tell")

    def __init__(self, posts: Posts, asked: Asked, tell: Tell) -> None:
        self._posts, self._asked, self._tell = posts, asked, tell
        self._body: bytes | None = None
        self._is_over = False

    def done(self) -> bool:
        """It is answered, or nobody waits for it any more."""
        return self._is_over

    def forget(self) -> None:
        """Nobody waits for it any more; what has not had its turn will not be done."""
        self._is_over = True

    def set_result(self, result: Any, /) -> None:
        """Its turn has come, or its event is durable."""
        if self._body is not None:
            self._is_over = True
            self._tell(self._body)
            return
        try:
            answered: Answered[Any] = result
            if answered.is_news and not isinstance(answered.answer, wire.Report):
                self._posts.metrics.decided(answered.answer)
            self._body = wire.render(answered.answer)
            self._posts.waiting.add(answered.durable, self, deadline=self._asked.deadline)
        except Exception as error:  # The last line again.
            self.set_exception(error)

    def set_exception(self, error: Exception, /) -> None:
        """Why there is no answer."""
        self._is_over = True
        self._tell(self._posts.problem_of(error))
