"""Where the microseconds of a decision go, in one process and without HTTP: each stage asked again and again, then all of them in turn.

python benchmarks/stages.py [--rounds N] [--stream N]

The stages alone are warm: code and data of one stage fit its caches. The stream is what decisions and outcomes cost as under load: each of
another card, 32 to a turn on the log, as many decisions together as the queue makes; then with a turn for each. What a decision takes
there beyond the sum of its stages is memory that had to be fetched again. To compare two versions: `versions.py`.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import made
import msgspec

from honour.policy.decide import decide
from honour.policy.eligible import Eligibility
from honour.policy.outlook import Predicted
from honour.records.attempt import Outcome, Status
from honour.records.decision import Decision
from honour.records.event import DecisionMade
from honour.release.bundle import Bundle, load_bundle
from honour.serving import start, wire
from honour.serving.hot_path import Answered, Engine
from honour.serving.queue import TOGETHER_MAX
from honour.serving.steps import Steps
from honour.stores.port import Durable

N_ROUTES = 8
REPEATS = 5
CHUNK = 256
"""Payments of the stream that are measured together; the middle of all chunks is told, and the best."""
ALONE = 64
"""Payments after those, whose decisions and outcomes have a turn each, as where few come at a time."""
COSTS = (
    *(f"{what} in a stream, {name}" for what in ("decision", "outcome") for name in ("the thread that answers", "both threads")),
    *(f"{what} alone, the thread that answers" for what in ("decision", "outcome")),
)
TOGETHER = 32
"""Decisions, or outcomes, of one turn on the log."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="payments that each stage is asked about, five times")
    parser.add_argument("--stream", type=int, default=4_096, help="payments of the stream")
    arguments = parser.parse_args()
    with prepared() as (engine, bundle):
        if arguments.rounds:
            table(engine, load_bundle(bundle), rounds=arguments.rounds)
        stream(engine, n=arguments.stream)


@contextmanager
def prepared() -> Iterator[tuple[Engine, Path]]:
    """An engine with a past, and the folder of its bundle."""
    with tempfile.TemporaryDirectory(prefix="honour-stages-") as kept:
        folder = Path(kept)
        made.bundle(folder / "bundle")
        made.past(folder / "data", n_attempts=20_000)
        engine = start.prepare(made.settings(folder / "data", n_routes=N_ROUTES), bundle=folder / "bundle")
        try:
            gc.collect()
            gc.freeze()
            gc.disable()
            yield engine, folder / "bundle"
        finally:
            engine.log.close()


def table(engine: Engine, loaded: Bundle, *, rounds: int) -> None:
    """Print what each stage takes, and all together."""
    bodies = made.decision_bodies(n=rounds, seed=3, prefix="stage")
    total = 0.0
    for name, ask in stages(engine, loaded, bodies):
        us = warm(ask, rounds=rounds)
        total += us
        print(f"{name:44}{us:8.1f} us")
    print(f"{'sum':44}{total:8.1f} us")


def stream(engine: Engine, *, n: int) -> None:
    """Print what decisions and their outcomes cost in a stream: CPU time of the thread that answers, and with the log's writer."""
    bodies = made.decision_bodies(n=n // CHUNK * (CHUNK + ALONE), seed=4, prefix="stream")
    stretches = [stretch(engine, bodies[first : first + CHUNK + ALONE]) for first in range(0, len(bodies), CHUNK + ALONE)]
    for at, name in enumerate(COSTS):
        us = sorted(costs[at] for costs in stretches[1:])
        print(f"{name:56}{us[len(us) // 2]:8.1f} us of CPU time (best {us[0]:.1f})")


def stretch(engine: Engine, bodies: Sequence[bytes]) -> tuple[float, ...]:
    """What decisions about these payments cost, and then their outcomes: `COSTS`, microseconds for one."""
    decisions: list[Decision] = []

    def decide_some(bodies: Sequence[bytes]) -> Durable | None:
        for at in range(0, len(bodies), TOGETHER_MAX):
            for answered in together([engine.deciding(wire.parse_request(body)) for body in bodies[at : at + TOGETHER_MAX]]):
                wire.render(answered.answer)
                decisions.append(answered.answer)
        return engine.newest

    def report_some(decided: Sequence[Decision]) -> Durable | None:
        for decision in decided:
            status: Status = "approved" if int(decision.payment_id.rpartition("_")[2]) % 10 else "declined"
            engine.report_outcome(Outcome(decision_id=decision.decision_id, status=status, response_code="00"))
        return engine.newest

    decided = in_turns(engine, decide_some, bodies[:CHUNK])
    reported = in_turns(engine, report_some, [one for one in decisions if one.attempt is not None])
    alone = []
    for body in bodies[CHUNK:]:
        decisions.clear()
        decided_us, _ = in_turns(engine, decide_some, [body])
        alone += [(decided_us, in_turns(engine, report_some, decisions)[0]) for one in decisions if one.attempt is not None]
    return (*decided, *reported, *(sum(us) / len(alone) for us in zip(*alone, strict=True)))


def together(under_way: list[Steps[Answered[Decision]]]) -> list[Answered[Decision]]:
    """Decisions made together: a step of each in turn."""
    told = []
    while under_way:
        going_on = []
        for steps in under_way:
            try:
                next(steps)
                going_on.append(steps)
            except StopIteration as end:
                told.append(end.value)
        under_way = going_on
    return told


def in_turns(engine: Engine, do: Callable[[Sequence[Any]], Durable | None], each: Sequence[Any]) -> tuple[float, float]:
    """Microseconds of CPU time for one: of this thread, and of the process."""
    began, began_all = time.thread_time(), time.process_time()
    for first in range(0, len(each), TOGETHER):
        with engine.turn():
            durable = do(each[first : first + TOGETHER])
        if durable is not None:
            durable.result()
    return (time.thread_time() - began) / len(each) * 1e6, (time.process_time() - began_all) / len(each) * 1e6


def stages(engine: Engine, loaded: Bundle, bodies: list[bytes]) -> Iterator[tuple[str, Callable[[int], object]]]:
    """Each stage with what asks it about payment number n; later stages are asked with what earlier ones gave."""
    state, settings, model, fast = engine.state, engine.settings, loaded.model, engine.state.fast
    at_us, order = engine.now_us, range(len(bodies))
    requests = [wire.parse_request(body) for body in bodies]
    paid = [request.payment for request in requests]
    terms, eligibility = settings.terms_of("anybody"), Eligibility(settings.routes)
    yield "decode, look for card numbers", lambda n: wire.parse_request(bodies[n])
    yield "what network rules leave", lambda n: state.retries.allowed(paid[n], at_us=at_us)
    allowed = [state.retries.allowed(one, at_us=at_us) for one in paid]
    yield "eligible", lambda n: eligibility.of(paid[n], requested=None, allowed=allowed[n], at_us=at_us)
    considered = [eligibility.of(paid[n], requested=None, allowed=allowed[n], at_us=at_us) for n in order]
    candidates = [[one.candidate for one in each if one.eligible] for each in considered]
    yield "features as of now", lambda n: state.features.as_of(paid[n], candidates[n], at_us=at_us)
    served = [state.features.as_of(paid[n], candidates[n], at_us=at_us) for n in order]
    yield "matrix, trees, calibration", lambda n: model.predict_many(served[n])
    p_model = [model.predict_many(one) for one in served]
    yield "fast layer", lambda n: fast.correct(paid[n], candidates[n], p_model=p_model[n], at_us=at_us)
    corrected = [fast.correct(paid[n], candidates[n], p_model=p_model[n], at_us=at_us) for n in order]
    predicted = [Predicted(both.p_approve, p_model[n], both.sd) for n, both in enumerate(corrected)]
    history = state.book.history("not known")

    def decided(n: int) -> object:
        return decide(
            paid[n],
            considered=considered[n],
            predicted=predicted[n],
            terms=terms,
            allowed=allowed[n],
            history=history,
            fallback_order=(),
            draw=0.5,
            at_us=at_us,
            retry_model=loaded.retry_model,
        )

    yield "policy: values, exploration, ranking", decided
    decisions = [engine.decide(request).answer for request in requests]
    yield "encode the answer", lambda n: wire.render(decisions[n])
    events = [DecisionMade(payment=paid[n], decision=decisions[n], decided_us=at_us, draw=0.5, features=served[n]) for n in order]
    encoder = msgspec.json.Encoder()
    yield "encode the event", lambda n: encoder.encode(events[n]).decode()


def warm(ask: Callable[[int], object], *, rounds: int) -> float:
    """Microseconds of CPU time for one answer: the best of a few passes over all payments."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time_ns()
        for number in range(rounds):
            ask(number)
        best = min(best, (time.process_time_ns() - began) / rounds / 1e3)
    return best


if __name__ == "__main__":
    main()
