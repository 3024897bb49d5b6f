"""Offsets by segment against one calibrator for all: what cross-fitting says of each pull, and what comes of it on later attempts.

python benchmarks/by_segment.py --data FOLDER [--data FOLDER ...] [--holdout-days N]

Each folder holds a log. A model is fitted on all but the last days, calibrated on rolling origins before them, and judged on them. Figures
are log loss with offsets less that without, with 95 % intervals clustered by payment: below 0 is better. "forward" is what `honour train`
goes by; "by chance" are folds of whole payments drawn at random, for comparison. "gap" is the mean distance of p from the approval rate
over segments of at least 300 attempts, weighted by attempts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import expit, kind_of
from honour.approval.interval import mean_figure
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.approval.segment import SEGMENTS, SegmentOffsets, segment_names
from honour.learning.blocks import blocks_of, drifting
from honour.learning.by_segment import STRENGTHS, Numbers, segment_numbers
from honour.learning.calibrate import choose_calibrator, fit_calibrator, offsets_on, segment_choice
from honour.learning.dataset import Rows, hold_out, rows_of
from honour.learning.fit import Recipe, fit
from honour.learning.kinds.named import kind_named, told_by_catalogue
from honour.learning.search import search
from honour.loop import DataDir, build_features

N_STEPS, N_FOLDS, ROWS_MIN, SEED = 30, 5, 300, 1


def main() -> None:
    """A table for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="data folder with a log (repeat)")
    parser.add_argument("--holdout-days", type=float, default=7.0, help="last days, on which all are judged (7)")
    told = parser.parse_args()
    for folder in told.data:
        with DataDir(folder).log() as log:
            to_seq = max(logged.seq for logged in log.read())
        rows = rows_of(build_features(folder, to_seq=to_seq, step=_quiet, threads=1).to_arrow())
        held = hold_out(rows, days=told.holdout_days)
        sys.stdout.write(f"\n{folder.name}: " + "\n".join(_lines(rows.where(held.early), rows.where(held.late))) + "\n")


def _lines(early: Rows, late: Rows) -> list[str]:
    kind, told = kind_named("lightgbm")._replace(steps_max=N_STEPS, without=()), told_by_catalogue(seed=SEED, n_threads=1)
    found = search(early, kind=kind, told=told, step=_quiet, configurations=kind.configurations[1:2])
    left_out = drifting(blocks_of(early))
    model, encoder = fit(early, recipe=Recipe(kind, kind.configurations[1], left_out), n_steps=found.n_steps, told=told)
    p, y, payments = expit(found.later.raw), found.later.approved, found.later.payments
    p_late = expit(model.decision_function(late.encoded(encoder)))
    numbers, numbers_late = (segment_numbers(rows.columns, encoder=encoder) for rows in (found.later.rows, late))
    choice = choose_calibrator(p, y=y, payments=payments, at_us=found.later.rows.at_us, seed=SEED, numbers=numbers)
    whole = choice.calibrator.apply(p_late)
    kind_name = kind_of(choice.calibrator)
    lines = [f"{len(early)} attempts, {len(y)} to calibrate on, {len(late)} later ones; chosen: {choice.name}", ""]
    lines += ["| offsets | cross-fitted, forward | cross-fitted, by chance | on later attempts | gap |", "|---|---|---|---|---|"]
    lines.append(f"| none: {kind_name} | | | log loss {row_log_loss(whole, late.approved).mean():.4f} | {_gap(whole, late):.4f} |")
    for strength in STRENGTHS:
        offsets = offsets_on(choice.calibrator, p, y=y, numbers=numbers, strength=strength)
        moved = offsets.moved(whole, numbers_late)
        apart = mean_figure(row_log_loss(moved, late.approved) - row_log_loss(whole, late.approved), payments=late.payments)
        by_chance = mean_figure(_by_chance(kind_name, p, y=y, numbers=numbers, strength=strength, payments=payments), payments=payments)
        forward = choice.losses[segment_choice(strength)] - choice.losses[kind_name]
        lines.append(f"| pulled by {strength:g} | {forward:+.5f} | {_said(by_chance)} | {_said(apart)} | {_gap(moved, late):.4f} |")
    return lines


def _by_chance(kind: str, p: Floats, *, y: Floats, numbers: Numbers, strength: float, payments: NDArray[np.intp]) -> Floats:
    """Log loss with offsets less that without, of each row by what was fitted on the other folds."""
    values, place = np.unique(payments, return_inverse=True)
    fold = (np.random.default_rng(SEED).permutation(len(values)) % N_FOLDS)[place]
    apart = np.empty(len(p))
    for number in range(N_FOLDS):
        here, others = fold == number, fold != number
        calibrator = fit_calibrator(kind, p=p[others], y=y[others])
        offsets: SegmentOffsets = offsets_on(calibrator, p[others], y=y[others], numbers=_where(numbers, others), strength=strength)
        whole = calibrator.apply(p[here])
        apart[here] = row_log_loss(offsets.moved(whole, _where(numbers, here)), y[here]) - row_log_loss(whole, y[here])
    return apart


def _where(numbers: Numbers, rows: NDArray[Any]) -> dict[str, Floats]:
    return {name: column[rows] for name, column in numbers.items()}


def _gap(p: Floats, late: Rows) -> float:
    total, n = 0.0, 0
    for name in SEGMENTS:
        named = segment_names(name, late.columns[name])
        for segment in np.unique(named):
            here = named == segment
            if here.sum() >= ROWS_MIN:
                total += abs(float((p[here] - late.approved[here]).sum()))
                n += int(here.sum())
    return total / max(n, 1)


def _said(figure: Figure) -> str:
    return f"{figure.value:+.5f} [{figure.low:+.5f}, {figure.high:+.5f}]"


def _quiet(_what: str, _done: int, _total: int | None) -> None:
    pass


if __name__ == "__main__":
    main()
