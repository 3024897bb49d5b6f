"""Networks in PyTorch: columns to numbers that a network can use, TabM, and a recurrent network over the last answers.

Sources: piecewise linear encoding of numbers, Gorishniy, Rubachev and Babenko 2022 (arXiv 2203.05556); TabM, Gorishniy, Kotelnikov and
Babenko 2025 (arXiv 2410.24210); entity embeddings, Guo and Berkhahn 2016 (arXiv 1604.06737).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tabm import LinearBatchEnsemble, LinearEnsemble  # type: ignore[import-untyped]  # tabm ships no types
from torch import Tensor, nn

from honour.learning.kinds.bins import Bins

FAR = 3e38
UNKNOWN_RATE = 0.02
"""While fitting, this share of categories counts as not known and of numbers as missing, so that both are learned."""
NUMBER_WIDTH = 4


class Columns(nn.Module):
    """(n, n_features) to (n, width): a number as a sum over its pieces, a category as a vector of its own; 0 of each is "not known"."""

    numbers: Tensor
    categories: Tensor
    low: Tensor
    piece: Tensor
    sizes: Tensor
    starts: Tensor

    def __init__(self, bins: Bins, *, category_width: int) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.from_numpy(bins.numbers))
        self.register_buffer("categories", torch.from_numpy(bins.categories))
        self.register_buffer("low", torch.from_numpy(bins.low))
        self.register_buffer("piece", torch.from_numpy(bins.width))
        sizes = bins.sizes
        self.register_buffer("sizes", torch.from_numpy(sizes.astype(np.float32)))
        self.register_buffer("starts", torch.from_numpy(np.concatenate([[0], np.cumsum(sizes + 1)[:-1]]).astype(np.int64)[: len(sizes)]))
        self.pieces = nn.Parameter(torch.randn(len(bins.numbers), bins.width.shape[1], NUMBER_WIDTH) * 0.3)
        self.missing = nn.Parameter(torch.zeros(len(bins.numbers), NUMBER_WIDTH))
        self.shift = nn.Parameter(torch.randn(len(bins.numbers), NUMBER_WIDTH) * 0.3)
        self.vectors = nn.Embedding(max(1, int((sizes + 1).sum())), category_width)
        nn.init.normal_(self.vectors.weight, std=0.3)
        self.width = len(bins.numbers) * NUMBER_WIDTH + len(sizes) * category_width

    def forward(self, x: Tensor) -> Tensor:
        """(n, width)."""
        parts = []
        if len(self.numbers):
            parts.append(self._numbers(x[:, self.numbers]))
        if len(self.sizes):
            parts.append(self._categories(x[:, self.categories]))
        return torch.cat(parts, dim=1)

    def _numbers(self, asked: Tensor) -> Tensor:
        gone = torch.isnan(asked)
        if self.training:
            gone = gone | (torch.rand(asked.shape, device=asked.device) < UNKNOWN_RATE)
        known = torch.where(gone, torch.full_like(asked, -FAR), asked).clamp(-FAR, FAR)
        share = ((known.unsqueeze(2) - self.low) / self.piece).clamp(0.0, 1.0)
        each = torch.bmm(share.transpose(0, 1), self.pieces).transpose(0, 1)  # (n, n_numbers, NUMBER_WIDTH)
        each = torch.relu(each + self.shift) + gone.to(asked.dtype).unsqueeze(2) * self.missing
        return each.flatten(1)

    def _categories(self, asked: Tensor) -> Tensor:
        inside = (asked >= 0.0) & (asked < self.sizes)
        if self.training:
            inside = inside & (torch.rand(asked.shape, device=asked.device) >= UNKNOWN_RATE)
        code = torch.where(inside, asked, torch.full_like(asked, -1.0)).to(torch.int64) + 1
        found: Tensor = self.vectors(code + self.starts)
        return found.flatten(1)


class Net(nn.Module):
    """(n, n_features) to log-odds; `level` is the bias of the last layer, which begins at the log-odds of the rows fitted."""

    @property
    def level(self) -> Tensor:
        """Added to what all else says."""
        raise NotImplementedError


class TabM(Net):
    """Many small networks in one, that share most weights; P is the mean of what they say, (n, k) log-odds."""

    def __init__(self, bins: Bins, *, members: int, width: int, depth: int, dropout: float, category_width: int) -> None:
        super().__init__()
        self.columns = Columns(bins, category_width=category_width)
        self.members = members
        layers: list[nn.Module] = []
        for at in range(depth):
            scaling = ("random-signs", "ones") if at == 0 else "ones"
            layers += [LinearBatchEnsemble(self.columns.width if at == 0 else width, width, k=members, scaling_init=scaling), nn.ReLU()]
            layers.append(nn.Dropout(dropout))
        self.blocks = nn.Sequential(*layers)
        self.head = LinearEnsemble(width, 1, k=members)

    @property
    def level(self) -> Tensor:
        """(members, 1)."""
        bias: Tensor = self.head.bias
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """(n, k) log-odds, one for each member."""
        columns = self.columns(x)
        said: Tensor = self.head(self.blocks(columns.unsqueeze(1).expand(-1, self.members, -1)))
        return said.squeeze(2)


class OverAnswers(Net):
    """A recurrent network over the last answers, oldest first, whose end joins the other columns; (n, 1) log-odds."""

    def __init__(self, rest: Bins, steps: Sequence[Bins], *, width: int, memory: int, dropout: float, category_width: int) -> None:
        super().__init__()
        self.columns = Columns(rest, category_width=category_width) if rest.numbers.size + rest.categories.size else None
        each = [Columns(one, category_width=category_width) for one in steps]
        self.steps = nn.ModuleList(each)
        self.inner = nn.ModuleList([nn.Linear(one.width, memory) for one in each])
        self.recurrent = nn.GRU(memory, memory, batch_first=True)
        wide = (self.columns.width if self.columns is not None else 0) + (memory if steps else 0)
        self.blocks = nn.Sequential(
            nn.Linear(wide, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(width, 1)

    @property
    def level(self) -> Tensor:
        """(1,)."""
        return self.head.bias

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1) log-odds."""
        parts = [self.columns(x)] if self.columns is not None else []
        if len(self.steps):
            each = [torch.relu(inner(step(x))) for step, inner in zip(self.steps, self.inner, strict=True)]
            answers, _ = self.recurrent(torch.stack(each[::-1], dim=1))
            parts.append(answers[:, -1, :])
        said: Tensor = self.head(self.blocks(torch.cat(parts, dim=1)))
        return said


class Mean(nn.Module):
    """P of a network: the mean over members, (n, 1)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1) probabilities."""
        p: Tensor = torch.sigmoid(self.net(x)).mean(dim=1, keepdim=True)
        return p
