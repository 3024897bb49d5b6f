"""Choosing settings and number of steps by rolling origins: each block of time is judged by what is fitted on everything before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import expit
from honour.approval.card import BlockReport
from honour.approval.interval import mean_figure, standard_error
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.learning.blocks import Block, blocks_of, drifting
from honour.learning.dataset import Rows
from honour.learning.fit import Recipe
from honour.learning.kinds.named import group_windows
from honour.learning.kinds.port import Configuration, Kind, Said, Told

CHOICE_ROWS = 60_000
"""Of more rows the settings are chosen on so many of the newest: which are better shows with fewer rows than how far to grow them. On
42,000 and 72,000 simulated attempts the same settings were best as on half of them, where half as many steps were.
"""
Step = Callable[[str, int, int | None], None]


class Later(NamedTuple):
    """Rows of all blocks with the log-odds that earlier rows gave them: what a calibrator may be fitted on.

    rows  all blocks one after another
    """

    raw: Floats
    rows: Rows

    @property
    def approved(self) -> Floats:
        """(n,) 1.0 or 0.0."""
        return self.rows.approved

    @property
    def payments(self) -> NDArray[np.intp]:
        """(n,) a number for each payment."""
        return self.rows.payments


class Search(NamedTuple):
    """What was found, and the evidence.

    configurations  log loss of each at its own best number of steps: on the rows of all blocks, or of blocks of the newest rows where those
                    were enough to choose by
    freshness_gain  log loss of a model that is one block old less that of a fresh one, on the same rows; None with one block
    """

    recipe: Recipe
    n_steps: int
    later: Later
    configurations: dict[str, Figure]
    blocks: tuple[BlockReport, ...]
    freshness_gain: Figure | None


class _Grown(NamedTuple):
    """One recipe at every origin, cut at the number of steps that is best over all of them.

    raw    log-odds of each block by what was fitted before it; stale: of each block but the first by what precedes the one before
    """

    recipe: Recipe
    n_steps: int
    raw: tuple[Floats, ...]
    stale: tuple[Floats, ...]


def search(rows: Rows, *, kind: Kind, told: Told, step: Step, configurations: tuple[Configuration, ...] | None = None) -> Search:
    """The settings with the lowest log loss on later rows, the fewest steps that are as good within one standard error, and
    whether features are left out: those that drift, since a date in disguise fits the past and says nothing about later rows,
    and the windows over groups, which are mostly noise where groups are few and rows are tens of thousands.

    configurations  those to choose from; absent, the kind's own
    """
    asked = configurations_of(kind, n_rows=len(rows)) if configurations is None else configurations
    blocks = blocks_of(rows, encoding=kind.encoding, rows_max=kind.rows_max)
    few = blocks if len(asked) == 1 else blocks_of(rows, encoding=kind.encoding, rows_max=min(CHOICE_ROWS, kind.rows_max or CHOICE_ROWS))
    without = {}
    if "drifting" in kind.without:
        without["steady features"] = drifting(blocks)
    if "windows" in kind.without:
        without["no windows"] = group_windows()
    n_tries = len(asked) + len(without)
    tried: list[_Grown] = []
    for configuration in asked:
        step("choosing the model", len(tried), n_tries)
        tried.append(_grow(Recipe(kind, configuration), blocks=few, told=told))
    losses = _losses(tried, blocks=few)
    chosen = min(tried, key=lambda one: float(losses[one.recipe.name].mean()))
    found = _figures(losses, blocks=few, seed=told.seed)
    if sum(len(block.late) for block in blocks) > sum(len(block.late) for block in few):
        chosen = _grow(chosen.recipe, blocks=blocks, told=told)
    varied = [chosen]
    for done, (which, left_out) in enumerate(without.items(), start=len(asked)):
        step("choosing the model", done, n_tries)
        if left_out:
            varied.append(_grow(Recipe(kind, chosen.recipe.configuration, left_out, which), blocks=blocks, told=told))
    losses = _losses(varied, blocks=blocks)
    # The last of equals: a model of fewer features is the simpler one.
    best = min(reversed(varied), key=lambda one: float(losses[one.recipe.name].mean()))
    step("choosing the model", n_tries, n_tries)
    return Search(
        recipe=best.recipe,
        n_steps=best.n_steps,
        later=Later(raw=np.concatenate(best.raw), rows=rows_of_blocks(blocks)),
        configurations=found | _figures(losses, blocks=blocks, seed=told.seed),
        blocks=tuple(_report(block, raw=raw, seed=told.seed) for block, raw in zip(blocks, best.raw, strict=True)),
        freshness_gain=_freshness_gain(best, blocks=blocks, seed=told.seed),
    )


def configurations_of(kind: Kind, *, n_rows: int) -> tuple[Configuration, ...]:
    """The settings of a kind that are weighed for so many rows."""
    return kind.configurations if kind.many is None or min(n_rows, kind.rows_max or n_rows) <= CHOICE_ROWS else (kind.many,)


def _losses(grown: Sequence[_Grown], *, blocks: tuple[Block, ...]) -> dict[str, Floats]:
    """Log loss of the later rows of all blocks, (n_late,), by the name of each recipe."""
    approved = rows_of_blocks(blocks).approved
    return {one.recipe.name: row_log_loss(expit(np.concatenate(one.raw)), approved) for one in grown}


def _figures(losses: Mapping[str, Floats], *, blocks: tuple[Block, ...], seed: int) -> dict[str, Figure]:
    payments = rows_of_blocks(blocks).payments
    return {name: mean_figure(loss, payments=payments, seed=seed) for name, loss in losses.items()}


def rows_of_blocks(blocks: tuple[Block, ...]) -> Rows:
    """The later rows of all blocks, one block after another."""
    return Rows.joined([block.late for block in blocks])


def _grow(recipe: Recipe, *, blocks: tuple[Block, ...], told: Told) -> _Grown:
    """All origins are grown in step until the loss over all of them, of what grows alone, has not fallen for `patience` steps: stopped
    one by one, the origins that stop early would count for nothing when more steps are weighed.
    """
    stages = []
    for block, following in zip(blocks, (*blocks[1:], None), strict=True):
        laters = [block.late.encoded(block.encoder)]
        if following is not None:
            laters.append(following.late.encoded(block.encoder))
        model = recipe.make(told, n_steps=recipe.kind.steps_max)
        stages.append(model.staged(recipe.matrix(block.early, block.encoder), block.early.approved, laters))
    approved = np.concatenate([block.late.approved for block in blocks])
    paths: list[list[list[Said]]] = []  # (n_steps, n_blocks, 1 or 2)
    losses: list[Floats] = []
    best = 0
    while len(losses) < recipe.kind.steps_max and len(losses) - 1 - best < recipe.kind.patience:
        said = [next(stage) for stage in stages]
        paths.append(said)
        losses.append(row_log_loss(expit(np.concatenate([one[0].grown for one in said])), approved))
        best = best if losses[-1].mean() >= losses[best].mean() and len(losses) > 1 else len(losses) - 1
    at = fewest(np.array(losses), payments=np.concatenate([block.late.payments for block in blocks]))
    return _Grown(recipe, at + 1, tuple(one[0].raw for one in paths[at]), tuple(one[1].raw for one in paths[at][:-1]))


def fewest(losses: Floats, *, payments: NDArray[np.intp]) -> int:
    """The first step whose mean loss is within one standard error of that of the best step.

    The curve is flat near its bottom, and where a flat curve has its lowest point is chance; more steps only cost more.

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
    if len(blocks) < 2:
        return None
    gains = [
        row_log_loss(expit(stale), block.late.approved) - row_log_loss(expit(fresh), block.late.approved)
        for block, stale, fresh in zip(blocks[1:], grown.stale, grown.raw[1:], strict=True)
    ]
    return mean_figure(np.concatenate(gains), payments=np.concatenate([block.late.payments for block in blocks[1:]]), seed=seed)
