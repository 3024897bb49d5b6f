"""TabM: many small networks in one, with vectors for issuers, merchants and routes. Ties with trees on payments; slower to fit."""

from __future__ import annotations

from honour.learning.kinds.bins import fit_bins
from honour.learning.kinds.deep import DeepClassifier
from honour.learning.kinds.deep_net import Net, TabM
from honour.learning.kinds.port import Configuration, Kind, Matrix, Range, Told


class TabMModel(DeepClassifier):
    """n_steps counts passes over the rows; categories are places of whole numbers."""

    def __init__(
        self,
        *,
        n_steps: int = 10,
        members: int = 8,
        width: int = 96,
        depth: int = 2,
        dropout: float = 0.1,
        category_width: int = 6,
        n_edges: int = 17,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        categories: tuple[int, ...] = (),
        seed: int = 1,
        n_threads: int = 1,
    ) -> None:
        self.n_steps = n_steps
        self.members = members
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.category_width = category_width
        self.n_edges = n_edges
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.categories = categories
        self.seed = seed
        self.n_threads = n_threads

    def _net(self, matrix: Matrix) -> Net:
        bins = fit_bins(matrix, categories=self.categories, n_edges=self.n_edges)
        return TabM(
            bins, members=self.members, width=self.width, depth=self.depth, dropout=self.dropout, category_width=self.category_width
        )


def _make(configuration: Configuration, told: Told) -> TabMModel:
    return TabMModel(**configuration.params, categories=told.categories, seed=told.seed, n_threads=told.n_threads)


KIND = Kind(
    name="tabm",
    about="TabM: an ensemble of small networks, with a vector for each issuer, merchant and route. Needs PyTorch to fit.",
    encoding="codes",
    unit="{n} passes",
    unit_steps=1,
    steps_max=16,
    patience=2,
    rows_max=100_000,
    without=(),
    configurations=(Configuration("8 x 96", {}),),
    ranges={
        "width": Range(32, 256, is_log=True, is_whole=True),
        "dropout": Range(0.0, 0.4),
        "learning_rate": Range(5e-4, 5e-3, is_log=True),
        "weight_decay": Range(1e-4, 1e-1, is_log=True),
        "category_width": Range(2, 16, is_log=True, is_whole=True),
    },
    make=_make,
)
