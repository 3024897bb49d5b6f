"""Settings of a kind for the attempts of a log, without its last days, and as lines of honour.toml."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from honour.learning.dataset import hold_out, rows_of
from honour.learning.kinds.named import kind_named
from honour.learning.tune import Tuned, tune
from honour.loop import Step, build_features

STUDIES = "tuning.db"


def tune_on_log(data_dir: Path, *, kind: str, minutes: float, holdout_days: float, seed: int, threads: int, step: Step) -> Tuned:
    """Tune on everything but the last `holdout_days`, on which whatever comes of it may then be judged."""
    rows = rows_of(build_features(data_dir, step=step, threads=threads).to_arrow())
    early = rows.where(hold_out(rows, days=holdout_days).early)
    name = f"{kind}-{len(early)}-{int(early.at_us.max())}"
    study = data_dir / STUDIES
    return tune(early, kind=kind, minutes=minutes, study=study, name=name, seed=seed, n_threads=threads, step=step)


def as_toml(found: Tuned) -> str:
    """The lines that make `honour train` weigh these settings."""
    ranges = kind_named(found.kind).ranges
    rounded = {name: round(value) if ranges[name].is_whole else float(f"{value:.6g}") for name, value in found.settings.items()}
    return tomli_w.dumps({"train": {"kind": found.kind, "settings": rounded}})
