"""A recurrent network over the last answers of the card and of the payment, as far back as the catalogue declares them (`nth`)."""

from __future__ import annotations

import numpy as np

from honour.learning.kinds.bins import Bins, fit_bins
from honour.learning.kinds.deep import DeepClassifier
from honour.learning.kinds.deep_net import Net, OverAnswers
from honour.learning.kinds.port import Configuration, Kind, Matrix, Range, Told


class SequenceModel(DeepClassifier):
    """n_steps counts passes over the rows; sequence holds the places of the last answer, the one before it, ..."""

    def __init__(
        self,
        *,
        n_steps: int = 10,
        width: int = 128,
        memory: int = 32,
        dropout: float = 0.15,
        category_width: int = 6,
        n_edges: int = 17,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        categories: tuple[int, ...] = (),
        sequence: tuple[tuple[int, ...], ...] = (),
        seed: int = 1,
        n_threads: int = 1,
    ) -> None:
        self.n_steps = n_steps
        self.width = width
        self.memory = memory
        self.dropout = dropout
        self.category_width = category_width
        self.n_edges = n_edges
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.categories = categories
        self.sequence = sequence
        self.seed = seed
        self.n_threads = n_threads

    def _net(self, matrix: Matrix) -> Net:
        bins = fit_bins(matrix, categories=self.categories, n_edges=self.n_edges)
        steps = [_only(bins, places) for places in self.sequence]
        within = {place for places in self.sequence for place in places}
        rest = _only(bins, [place for place in range(matrix.shape[1]) if place not in within])
        return OverAnswers(
            rest,
            [one for one in steps if one.numbers.size + one.categories.size],
            width=self.width,
            memory=self.memory,
            dropout=self.dropout,
            category_width=self.category_width,
        )


def _only(bins: Bins, places: tuple[int, ...] | list[int]) -> Bins:
    numbers, categories = np.isin(bins.numbers, places), np.isin(bins.categories, places)
    return Bins(bins.numbers[numbers], bins.categories[categories], bins.edges[numbers], bins.sizes[categories])


def _make(configuration: Configuration, told: Told) -> SequenceModel:
    return SequenceModel(
        **configuration.params, categories=told.categories, sequence=told.sequence, seed=told.seed, n_threads=told.n_threads
    )


KIND = Kind(
    name="sequence",
    about="A recurrent network over the last answers of card and payment. Needs PyTorch to fit, and features with `nth` to look back far.",
    encoding="codes",
    unit="{n} passes",
    unit_steps=1,
    steps_max=16,
    patience=2,
    rows_max=100_000,
    without=(),
    configurations=(Configuration("32 of memory", {}),),
    ranges={
        "width": Range(32, 256, is_log=True, is_whole=True),
        "dropout": Range(0.0, 0.4),
        "learning_rate": Range(5e-4, 5e-3, is_log=True),
        "weight_decay": Range(1e-4, 1e-1, is_log=True),
        "category_width": Range(2, 16, is_log=True, is_whole=True),
    },
    make=_make,
)
