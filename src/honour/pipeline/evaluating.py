"""A bundle on attempts after its training range, of a log or of a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from honour.errors import BadInput
from honour.learning.judge import Judged, Judgement, attempts_of, judge, probabilities_of
from honour.learning.served import served_rows
from honour.loop import Step, all_events
from honour.outcomes.windows import Windows
from honour.records.event import Event, LoggedEvent
from honour.records.settings import Settings
from honour.release.bundle import Bundle, load_bundle
from honour.release.operating import PrCurve, pr_curves
from honour.stores.tabular import read_attempts


class Evaluated(NamedTuple):
    """How a bundle does on later attempts, and its curves of precision and recall on them."""

    judgement: Judgement
    curves: tuple[PrCurve, ...]


def evaluate(model: Path, *, data: Path, mapping: Path | None, settings: Settings, step: Step) -> Evaluated:
    """Judge a bundle on attempts after its training range, with no refit. Fees and margins of `settings` say where the policy stands."""
    bundle = load_bundle(model)
    after_us = bundle.manifest.training.until_us
    if data.is_dir():
        events, state = all_events(data), Windows()
    elif mapping is None:
        raise BadInput(f"{data} is a file: say with --mapping how its columns become records, or give a data folder.")
    else:
        pairs = [pair for pair in read_attempts([data], mapping, step=step).events if pair[1] > after_us]
        events, state = _as_logged(pairs), _warm(bundle)
    step("judging", 0, None)
    rows = served_rows(events, state=state, after_us=after_us)
    judged = [Judged(row.served_sent, row.payment, row.at_us, row.approved) for row in rows]
    judgement = judge(judged, model=bundle.model, training=bundle.manifest.training, retry_model=bundle.retry_model)
    curves = pr_curves(probabilities_of(judged, model=bundle.model), attempts_of(judged), settings=settings)
    return Evaluated(judgement, curves)


def _as_logged(pairs: Iterable[tuple[Event, int]]) -> list[LoggedEvent]:
    return [LoggedEvent(seq=at, arrived_us=arrived_us, event=event) for at, (event, arrived_us) in enumerate(pairs, start=1)]


def _warm(bundle: Bundle) -> Windows:
    """A state whose feature windows are as they were at the end of training."""
    state = Windows()
    if bundle.state is not None:
        state.features.load(bundle.state)
    return state
