"""Training: choose on early rows, judge on the last days, then fit once more on everything and ship.

early rows ── rolling origins ─> settings and number of steps, log-odds of later rows ─> calibrator
    └─ fit ─> judged model ─> figures on the held-out days, which nothing above has seen
all rows ── fit ─> shipped model, calibrated on all later rows
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.approval.calibration import expit, kind_of
from honour.approval.card import JudgedModel, TrainedModel
from honour.features.encode import Encoder
from honour.learning.by_segment import segment_numbers
from honour.learning.calibrate import Choice, choose_calibrator, fit_calibrator, offsets_on
from honour.learning.dataset import Rows, hold_out, rows_of
from honour.learning.export import parity_rows
from honour.learning.fit import fit
from honour.learning.kinds.named import DEFAULT, kind_named, told_by_catalogue, tuned_configuration
from honour.learning.kinds.port import Estimator, Told
from honour.learning.report import training_card
from honour.learning.retry import fit_retry_model
from honour.learning.search import Search, Step, configurations_of, search


class Fitted(NamedTuple):
    """A model of rows that are all earlier than those it is judged on.

    found   settings and size, with the log-odds of later rows; choice: the calibrator that these led to
    """

    found: Search
    choice: Choice
    model: Estimator
    encoder: Encoder
    told: Told


def fit_and_calibrate(
    early: Rows,
    *,
    kind: str = DEFAULT,
    settings: Mapping[str, float] | None = None,
    seed: int = 1,
    n_threads: int = 1,
    rows_max: int | None = None,
    step: Step = lambda _what, _done, _total: None,
) -> Fitted:
    """Choose, calibrate and fit on `early` alone.

    rows_max  newest rows that count, when the kind takes more
    settings  of the kind, by name: one more configuration to choose from, called "tuned"
    """
    told, named = told_by_catalogue(seed=seed, n_threads=n_threads), kind_named(kind)
    if rows_max is not None:
        named = named._replace(rows_max=min(rows_max, named.rows_max or rows_max))
    configurations = (*configurations_of(named, n_rows=len(early)), *([tuned_configuration(named, settings)] if settings else []))
    found = search(early, kind=named, told=told, step=step, configurations=configurations)
    later = found.later
    step("fitting and judging", 0, None)
    model, encoder = fit(early, recipe=found.recipe, n_steps=found.n_steps, told=told)
    step("calibrating", 0, None)
    choice = choose_calibrator(
        expit(later.raw),
        y=later.approved,
        payments=later.payments,
        at_us=later.rows.at_us,
        seed=seed,
        numbers=segment_numbers(later.rows.columns, encoder=encoder),
    )
    return Fitted(found, choice, model, encoder, told)


def train(
    table: pa.Table,
    *,
    kind: str = DEFAULT,
    settings: Mapping[str, float] | None = None,
    seed: int = 1,
    holdout_days: float = 10.0,
    n_threads: int = 1,
    progress: Step | None = None,
) -> TrainedModel:
    """A calibrated approval model, with its card.

    kind          a name of `honour.learning.kinds.named`; settings: of it, beside those that it chooses from anyway
    table         training set of `honour.features.offline.training_set`
    holdout_days  last days kept aside to judge on; no payment is on both sides. The shipped model is then fitted with them, unless
                  rolling origins show that newer rows make it worse.
    n_threads     of the training library; the trees of LightGBM are the same for any number
    progress      called as progress("what", done, total)

    Raises CannotTrain for fewer than 500 rows, one answer only, or nothing later to judge or calibrate on.
    """
    step: Step = progress or (lambda _what, _done, _total: None)
    rows = rows_of(table)
    held = hold_out(rows, days=holdout_days)
    early, late = rows.where(held.early), rows.where(held.late)

    found, choice, model, encoder, told = fit_and_calibrate(early, kind=kind, settings=settings, seed=seed, n_threads=n_threads, step=step)
    later = found.later
    late_matrix = late.encoded(encoder)
    raw_late = model.decision_function(late_matrix)
    refits = found.freshness_gain is None or found.freshness_gain.high >= 0.0
    card = training_card(
        rows,
        early=early,
        late=late,
        p_late=choice.offsets.apply(choice.calibrator.apply(expit(raw_late)), late_matrix),
        from_us=held.from_us,
        holdout_days=holdout_days,
        found=found,
        choice=choice,
        encoder=encoder,
        refitted=refits,
        seed=seed,
    )

    judged = JudgedModel(onnx=model.to_onnx(), calibrator=choice.calibrator, encoder=encoder, offsets=choice.offsets)
    step("fitting on everything", 0, None)
    if refits:
        model, encoder = fit(rows, recipe=found.recipe, n_steps=found.n_steps, told=told)
    # The held-out days were later than what their log-odds come from, so that the calibrator may learn from them too.
    p_later, judged_on = expit(np.concatenate([later.raw, raw_late])), Rows.joined([later.rows, late])
    calibrator = fit_calibrator(kind_of(choice.calibrator), p=p_later, y=judged_on.approved)
    numbers = segment_numbers(judged_on.columns, encoder=encoder)
    offsets = offsets_on(calibrator, p_later, y=judged_on.approved, numbers=numbers, strength=choice.strength)
    step("fitting what follows a refusal", 0, None)
    retry_model = fit_retry_model(table)
    matrix = rows.encoded(encoder)
    return TrainedModel(
        onnx=model.to_onnx(),
        calibrator=calibrator,
        encoder=encoder,
        retry_model=retry_model,
        offsets=offsets,
        parity=parity_rows(model.decision_function, matrix=matrix, calibrator=calibrator, offsets=offsets, seed=seed),
        training=card,
        judged=judged,
    )
