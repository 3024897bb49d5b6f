"""How many rows the search needs: steps found on all rows and on half of them, and what that costs on later attempts.

python benchmarks/searched.py --data FOLDER [--data FOLDER ...]

Folders are of `benchmarks/kinds.py --fill-only`. LightGBM is grown at rolling origins over all rows before the last week, and over the
newest half of them; a model of each number of steps is then fitted on all of them and judged on the week.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from honour.approval.calibration import expit
from honour.approval.interval import mean_figure
from honour.approval.metric import Floats, row_log_loss
from honour.learning.dataset import Rows, hold_out, rows_of
from honour.learning.fit import fit
from honour.learning.kinds.named import kind_named, told_by_catalogue
from honour.learning.search import search
from honour.loop import build_features

HOLDOUT_DAYS, SEED = 7.0, 1


def main() -> None:
    """A line for each folder and share of the rows, and what half of them cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="data folder with a log (repeat)")
    for folder in parser.parse_args().data:
        rows = rows_of(build_features(folder, step=lambda *_: None, threads=1).to_arrow())
        held = hold_out(rows, days=HOLDOUT_DAYS)
        early, late = rows.where(held.early), rows.where(held.late)
        whole, half = (_later_loss(folder.name, early, late, n=len(early) // parts) for parts in (1, 2))
        behind = mean_figure(half - whole, payments=late.payments)
        sys.stdout.write(f"{folder.name}: half of the rows cost {behind.value:.4f} [{behind.low:.4f}, {behind.high:.4f}]\n")


def _later_loss(name: str, early: Rows, late: Rows, *, n: int) -> Floats:
    """Log loss of each later row by a model of as many steps as the newest `n` rows ask for."""
    kind, told = kind_named("lightgbm"), told_by_catalogue(seed=SEED, n_threads=1)
    kind = kind._replace(without=(), configurations=kind.configurations[1:2])
    found = search(early.newest(n), kind=kind, told=told, step=lambda *_: None)
    model, encoder = fit(early, recipe=found.recipe, n_steps=found.n_steps, told=told)
    losses = row_log_loss(expit(model.decision_function(late.encoded(encoder))), late.approved)
    sys.stdout.write(f"{name}: {n} rows searched, {kind.size(found.n_steps)}, log loss {losses.mean():.5f} on {len(late)} later attempts\n")
    sys.stdout.flush()
    return losses


if __name__ == "__main__":
    main()
