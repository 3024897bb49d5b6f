"""Choosing size and number of trees by rolling origins: each block of time is judged by trees fitted on everything before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import expit
from honour.approval.card import BlockReport
from honour.approval.interval import mean_figure, standard_error
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.features.encode import Encoder
from honour.learning.blocks import Block, blocks_of, drifting
from honour.learning.dataset import Rows
from honour.learning.fit import CONFIGURATIONS, PATIENCE, TREES_MAX, TREES_STEP, Grower, Recipe, fit, fit_encoder, group_windows, raw_of

Step = Callable[[str, int, int | None], None]


class Later(NamedTuple):
    """Rows of all blocks with the log-odds that earlier trees gave them: what a calibrator may be fitted on."""

    raw: Floats
    approved: Floats
    payments: NDArray[np.intp]


class Search(NamedTuple):
    """What was found, and the evidence.

    configurations  log loss of each on the rows of all blocks, each at its own best number of trees
    freshness_gain  log loss of trees that are one block old less that of fresh ones, on the same rows; None with one block
    """

    recipe: Recipe
    n_trees: int
    later: Later
    configurations: dict[str, Figure]
    blocks: tuple[BlockReport, ...]
    freshness_gain: Figure | None


class _Grown(NamedTuple):
    """Trees of one configuration at every origin, cut at the number of trees that is best over all of them."""

    recipe: Recipe
    boosters: tuple[lightgbm.Booster, ...]
    n_trees: int
    raw: tuple[Floats, ...]


def search(rows: Rows, *, seed: int, n_threads: int, step: Step) -> Search:
    """The size with the lowest log loss on later rows, the fewest trees that are as good within one standard error, and
    whether features are left out: those that drift, since a date in disguise fits the past and says nothing about later rows,
    and the windows over groups, which are mostly noise where groups are few and rows are tens of thousands.
    """
    blocks = blocks_of(rows)
    approved = np.concatenate([block.late.approved for block in blocks])
    payments = np.concatenate([block.late.payments for block in blocks])
    without = {"steady features": drifting(blocks), "no windows": group_windows()}
    n_steps = len(CONFIGURATIONS) + len(without)
    grown: list[_Grown] = []
    for configuration in CONFIGURATIONS:
        step("choosing the trees", len(grown), n_steps)
        grown.append(_grow(Recipe(configuration), blocks=blocks, seed=seed, n_threads=n_threads))
    losses = {one.recipe.name: row_log_loss(expit(np.concatenate(one.raw)), approved) for one in grown}
    chosen = min(grown, key=lambda one: float(losses[one.recipe.name].mean()))
    size = chosen.recipe.configuration
    for done, (which, left_out) in enumerate(without.items(), start=len(grown)):
        step("choosing the trees", done, n_steps)
        if left_out:
            fewer = _grow(Recipe(size, left_out, which), blocks=blocks, seed=seed, n_threads=n_threads)
            losses[fewer.recipe.name] = row_log_loss(expit(np.concatenate(fewer.raw)), approved)
            if losses[fewer.recipe.name].mean() <= losses[chosen.recipe.name].mean():
                chosen = fewer
    step("choosing the trees", n_steps, n_steps)
    return Search(
        recipe=chosen.recipe,
        n_trees=chosen.n_trees,
        later=Later(raw=np.concatenate(chosen.raw), approved=approved, payments=payments),
        configurations={name: mean_figure(loss, payments=payments, seed=seed) for name, loss in losses.items()},
        blocks=tuple(_report(block, raw=raw, seed=seed) for block, raw in zip(blocks, chosen.raw, strict=True)),
        freshness_gain=_freshness_gain(chosen, blocks=blocks, seed=seed),
    )


def _grow(recipe: Recipe, *, blocks: tuple[Block, ...], seed: int, n_threads: int) -> _Grown:
    """All origins are grown in step until the loss over all of them has not fallen for `PATIENCE` trees: stopped one by one, the
    origins that stop early would count for nothing when more trees are weighed.
    """
    growers = [
        Grower(block.early.encoded(block.encoder), approved=block.early.approved, recipe=recipe, seed=seed, n_threads=n_threads)
        for block in blocks
    ]
    matrices = [block.late.encoded(block.encoder) for block in blocks]
    approved = np.concatenate([block.late.approved for block in blocks])
    paths: list[list[Floats]] = []  # (n_steps, n_blocks), each (n_late,)
    losses: list[Floats] = []
    best = 0
    while len(losses) * TREES_STEP < TREES_MAX and (len(losses) - 1 - best) * TREES_STEP < PATIENCE:
        raw = [grower.grow(matrix) for grower, matrix in zip(growers, matrices, strict=True)]
        paths.append(raw)
        losses.append(row_log_loss(expit(np.concatenate(raw)), approved))
        best = best if losses[-1].mean() >= losses[best].mean() and len(losses) > 1 else len(losses) - 1
    at = fewest(np.array(losses), payments=np.concatenate([block.late.payments for block in blocks]))
    return _Grown(recipe, tuple(grower.booster for grower in growers), (at + 1) * TREES_STEP, tuple(paths[at]))


def fewest(losses: Floats, *, payments: NDArray[np.intp]) -> int:
    """The first step whose mean loss is within one standard error of that of the best step.

    The curve is flat near its bottom, and where a flat curve has its lowest point is chance; more trees only cost more.

    losses : (n_steps, n_rows)
    """
    means = losses.mean(axis=1)
    best = int(np.argmin(means))
    for at in range(best):
        behind = losses[at] - losses[best]
        if means[at] - means[best] <= standard_error(behind, payments=payments):
            return at
    return best


def _report(block: Block, *, raw: Floats, seed: int) -> BlockReport:
    loss = mean_figure(row_log_loss(expit(raw), block.late.approved), payments=block.late.payments, seed=seed)
    return BlockReport(from_us=block.split.from_us, until_us=block.split.until_us, log_loss=loss)


def _freshness_gain(grown: _Grown, *, blocks: tuple[Block, ...], seed: int) -> Figure | None:
    gains: list[Floats] = []
    for older, block, booster, fresh in zip(blocks[:-1], blocks[1:], grown.boosters[:-1], grown.raw[1:], strict=True):
        stale = raw_of(booster, block.late.encoded(older.encoder), n_trees=grown.n_trees)
        gains.append(row_log_loss(expit(stale), block.late.approved) - row_log_loss(expit(fresh), block.late.approved))
    if not gains:
        return None
    return mean_figure(np.concatenate(gains), payments=np.concatenate([block.late.payments for block in blocks[1:]]), seed=seed)


def fit_found(rows: Rows, *, found: Search, seed: int, n_threads: int) -> tuple[lightgbm.Booster, Encoder]:
    """What was found, fitted on `rows`: trees, and the encoder that made their matrix."""
    encoder = fit_encoder(rows.columns, approved=rows.approved)
    matrix = rows.encoded(encoder)
    booster = fit(matrix, approved=rows.approved, recipe=found.recipe, n_trees=found.n_trees, seed=seed, n_threads=n_threads)
    return booster, encoder
