"""Settings of a kind by trial, judged on rolling origins: each trial on every block of time, stopped early when it falls behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from honour.approval.calibration import expit
from honour.approval.metric import row_log_loss
from honour.learning.blocks import Block, blocks_of
from honour.learning.dataset import Rows
from honour.learning.fit import Recipe
from honour.learning.kinds.named import kind_named, told_by_catalogue, tuned_configuration
from honour.learning.kinds.port import Kind, Told
from honour.learning.search import Step

MINUTE_S = 60.0


class Tuned(NamedTuple):
    """What was found.

    log_loss  of the best trial on the later rows of all blocks; n_steps: at how many steps
    own       the lowest log loss of the kind's own configurations, on the same rows
    n_trials  finished in this study so far; n_pruned: stopped early
    """

    kind: str
    settings: dict[str, float]
    log_loss: float
    n_steps: int
    own: float
    n_trials: int
    n_pruned: int


def tune(rows: Rows, *, kind: str, minutes: float, study: Path, name: str, seed: int, n_threads: int, step: Step) -> Tuned:
    """Try settings of `kind` for `minutes`. The study is kept in the SQLite file `study` under `name`, and goes on where it stood.

    rows  to tune on; hold out what the result is to be judged on before. The kind's own configurations are tried first.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = kind_named(kind)
    blocks = blocks_of(rows, encoding=known.encoding, rows_max=known.rows_max)
    told = told_by_catalogue(seed=seed, n_threads=n_threads)
    study.parent.mkdir(parents=True, exist_ok=True)
    trials = optuna.create_study(
        study_name=name,
        storage=f"sqlite:///{study.resolve()}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, known.patience // 2)),
    )
    step("trying the kind's own settings", 0, None)
    own = min(_loss(Recipe(known, one), blocks=blocks, told=told, trial=None)[0] for one in known.configurations)
    step("tuning", len(trials.trials), None)

    def tried(trial: optuna.Trial) -> float:
        recipe = Recipe(known, tuned_configuration(known, _suggested(known, trial)))
        loss, n_steps = _loss(recipe, blocks=blocks, told=told, trial=trial)
        trial.set_user_attr("n_steps", n_steps)
        return loss

    trials.optimize(tried, timeout=minutes * MINUTE_S, callbacks=[lambda whole, _: step("tuning", len(whole.trials), None)])
    states = [trial.state for trial in trials.trials]
    best = trials.best_trial
    return Tuned(
        kind=kind,
        settings={key: float(value) for key, value in best.params.items()},
        log_loss=float(best.value or np.nan),
        n_steps=int(best.user_attrs["n_steps"]),
        own=own,
        n_trials=states.count(optuna.trial.TrialState.COMPLETE),
        n_pruned=states.count(optuna.trial.TrialState.PRUNED),
    )


def _suggested(kind: Kind, trial: optuna.Trial) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for name, allowed in kind.ranges.items():
        if allowed.is_whole:
            found[name] = trial.suggest_int(name, int(allowed.low), int(allowed.high), log=allowed.is_log)
        else:
            found[name] = trial.suggest_float(name, allowed.low, allowed.high, log=allowed.is_log)
    return found


def _loss(recipe: Recipe, *, blocks: tuple[Block, ...], told: Told, trial: optuna.Trial | None) -> tuple[float, int]:
    """Lowest log loss over the later rows of all blocks, of what grows, while it grows at every origin in step, and at how many steps."""
    kind = recipe.kind
    stages = [
        recipe.make(told, n_steps=kind.steps_max).staged(
            recipe.matrix(block.early, block.encoder), block.early.approved, [block.late.encoded(block.encoder)]
        )
        for block in blocks
    ]
    approved = np.concatenate([block.late.approved for block in blocks])
    losses: list[float] = []
    while len(losses) < kind.steps_max and len(losses) - int(np.argmin(losses or [0.0])) <= kind.patience:
        said = np.concatenate([next(stage)[0].grown for stage in stages])
        losses.append(float(row_log_loss(expit(said), approved).mean()))
        if trial is not None:
            trial.report(min(losses), len(losses))
            if trial.should_prune():
                raise optuna.TrialPruned
    return min(losses), int(np.argmin(losses)) + 1
