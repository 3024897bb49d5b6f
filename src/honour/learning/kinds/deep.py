"""Fitting networks: one pass over the rows is one step. On one thread of a CPU unless told otherwise, on a GPU if there is one."""

from __future__ import annotations

import io
import warnings
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from honour.approval.calibration import logit, logit_one
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.deep_net import Mean, Net
from honour.learning.kinds.port import Floats, Matrix

OPSET = 17
BATCH_MIN, BATCH_MAX = 128, 1_024
ASKED_MAX = 8_192
"""Rows that are asked at once."""
AVERAGED = 0.98
"""What is asked is the mean of the weights over the last 1 / (1 - AVERAGED) steps of the optimizer (Polyak and Juditsky 1992): single ones
swing, and with few attempts their mean probability by several hundredths.
"""


class DeepClassifier(StepwiseClassifier):
    """A classifier whose step is a pass over the rows; a kind says `_net`."""

    learning_rate: float
    weight_decay: float
    seed: int
    n_threads: int

    def to_onnx(self) -> bytes:
        """The network as ONNX; by tracing, since the graph that torch.export writes does not load in ONNX Runtime."""
        sink = io.BytesIO()
        example = torch.zeros((2, self.n_features_in_), dtype=torch.float32)
        example[1] = torch.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About shapes that do not vary here, and that tracing is the older way.
            torch.onnx.export(
                Mean(self.net_).eval().cpu(),
                (example,),
                sink,  # type: ignore[arg-type]  # tracing writes to a buffer too
                input_names=["features"],
                output_names=["probability"],
                dynamic_axes={"features": {0: "n"}, "probability": {0: "n"}},
                opset_version=OPSET,
                dynamo=False,
            )
        return sink.getvalue()

    def _net(self, matrix: Matrix) -> Net:
        raise NotImplementedError

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        torch.set_num_threads(self.n_threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.net_ = self._net(matrix).to(self._device)
            self._random = torch.random.get_rng_state()
        weights = np.ones(len(y)) if weight is None else weight
        with torch.no_grad():  # The first passes would be spent on the level else, above all where few attempts are approved.
            self.net_.level.add_(logit_one(float(np.average(y, weights=weights))))
        self._learner, self._n_updates = deepcopy(self.net_), 0
        self._rows = tuple(torch.from_numpy(np.asarray(part, dtype=np.float32)).to(self._device) for part in (matrix, y, weights))
        self._optimizer = torch.optim.AdamW(self._learner.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        self._batch = int(np.clip(len(y) // 64, BATCH_MIN, BATCH_MAX))

    def _grow(self) -> None:
        matrix, y, weight = self._rows
        total = weight.sum()
        with torch.random.fork_rng():
            torch.random.set_rng_state(self._random)
            self._learner.train()
            for rows in torch.split(torch.randperm(len(y)), self._batch):
                self._optimizer.zero_grad()
                said = self._learner(matrix[rows])
                losses = nn.functional.binary_cross_entropy_with_logits(said, y[rows].unsqueeze(1).expand_as(said), reduction="none")
                loss = (losses.mean(dim=1) * weight[rows]).sum() * (len(y) / total) / len(rows)
                loss.backward()  # type: ignore[no-untyped-call]  # PyTorch does not type it
                self._optimizer.step()
                self._average()
            self._random = torch.random.get_rng_state()
        self.net_.eval()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the weights that are asked towards those that were just learned: at once in the beginning, when these still go far."""
        self._n_updates += 1
        share = max(1.0 - AVERAGED, 9.0 / (9.0 + self._n_updates))
        for mean, learned in zip(self.net_.parameters(), self._learner.parameters(), strict=True):
            mean.lerp_(learned, share)

    def _raw(self, matrix: Matrix) -> Floats:
        net, device = Mean(self.net_).eval(), next(self.net_.parameters()).device
        parts = torch.split(torch.from_numpy(matrix.copy()), ASKED_MAX)
        said = [net(part.to(device)).detach().cpu() for part in parts]
        return logit(torch.cat(said)[:, 0].numpy().astype(np.float64))

    def _finish(self) -> None:
        del self._rows, self._optimizer, self._random, self._learner
        self.net_ = self.net_.cpu()
