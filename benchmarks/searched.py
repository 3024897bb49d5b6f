"""How many rows the search needs: steps found on all rows and on half of them, and what that costs on later attempts.

python benchmarks/searched.py --data FOLDER [--data FOLDER ...] [--many]

Folders are of `benchmarks/kinds.py --fill-only`. LightGBM is grown at rolling origins over all rows before the last week, and over the
newest half of them; a model of each number of steps is then fitted on all of them and judged on the week. With --many the settings that
more than 60,000 rows have are compared with the largest of those that fewer choose from, grown as far as a kind may.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from honour.approval.calibration import expit
from honour.approval.interval import mean_figure
from honour.approval.metric import Floats, row_log_loss
from honour.learning.dataset import Rows, hold_out, rows_of
from honour.learning.fit import Recipe, fit
from honour.learning.kinds.named import kind_named, told_by_catalogue
from honour.learning.search import search
from honour.loop import build_features

HOLDOUT_DAYS, SEED = 7.0, 1


def main() -> None:
    """A line for each folder and share of the rows, and what half of them cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="data folder with a log (repeat)")
    parser.add_argument("--many", action="store_true", help="compare the settings of many rows with those of few")
    told = parser.parse_args()
    for folder in told.data:
        rows = rows_of(build_features(folder, step=lambda *_: None, threads=1).to_arrow())
        held = hold_out(rows, days=HOLDOUT_DAYS)
        early, late = rows.where(held.early), rows.where(held.late)
        if told.many:
            _compare_settings(folder.name, early, late)
            continue
        whole, half = (_later_loss(folder.name, early, late, n=len(early) // parts) for parts in (1, 2))
        behind = mean_figure(half - whole, payments=late.payments)
        sys.stdout.write(f"{folder.name}: half of the rows cost {behind.value:.4f} [{behind.low:.4f}, {behind.high:.4f}]\n")


def _compare_settings(name: str, early: Rows, late: Rows) -> None:
    """Log loss on later rows, and CPU seconds to fit, of the settings of many rows and of few."""
    kind, told = kind_named("lightgbm"), told_by_catalogue(seed=SEED, n_threads=1)
    losses = []
    for configuration in (kind.many, kind.configurations[-1]):
        assert configuration is not None
        only = kind._replace(without=(), configurations=(configuration,), many=None)
        n_steps = kind.steps_max if configuration is not kind.many else search(early, kind=only, told=told, step=lambda *_: None).n_steps
        began_s = time.process_time()
        model, encoder = fit(early, recipe=Recipe(only, configuration), n_steps=n_steps, told=told)
        cpu_s = time.process_time() - began_s
        losses.append(row_log_loss(expit(model.decision_function(late.encoded(encoder))), late.approved))
        fitted = f"{configuration.name}, {kind.size(n_steps)} on {len(early)} rows in {cpu_s:.0f} CPU s"
        sys.stdout.write(f"{name}: {fitted}, log loss {losses[-1].mean():.5f}\n")
    ahead = mean_figure(losses[1] - losses[0], payments=late.payments)
    sys.stdout.write(f"{name}: the settings of many rows gain {ahead.value:.4f} [{ahead.low:.4f}, {ahead.high:.4f}]\n")
    sys.stdout.flush()


def _later_loss(name: str, early: Rows, late: Rows, *, n: int) -> Floats:
    """Log loss of each later row by a model of as many steps as the newest `n` rows ask for."""
    kind, told = kind_named("lightgbm"), told_by_catalogue(seed=SEED, n_threads=1)
    kind = kind._replace(without=(), configurations=kind.configurations[1:2], many=None)
    found = search(early.newest(n), kind=kind, told=told, step=lambda *_: None)
    model, encoder = fit(early, recipe=found.recipe, n_steps=found.n_steps, told=told)
    losses = row_log_loss(expit(model.decision_function(late.encoded(encoder))), late.approved)
    sys.stdout.write(f"{name}: {n} rows searched, {kind.size(found.n_steps)}, log loss {losses.mean():.5f} on {len(late)} later attempts\n")
    sys.stdout.flush()
    return losses


if __name__ == "__main__":
    main()
