"""The approval model as it serves: features to calibrated probabilities, all candidates of a payment in one call.

Trees and tables are walked by compiled code, when it says what ONNX Runtime says; ONNX Runtime answers for every other kind, and for
many rows.
"""

from __future__ import annotations

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ONNX Runtime ships no types.
from numpy.typing import NDArray

from honour.approval.calibration import Calibrator, for_few
from honour.approval.scores import compiled_scores
from honour.approval.segment import SegmentOffsets
from honour.errors import BundleRefused
from honour.features.catalogue import FEATURES
from honour.features.encode import Encoder
from honour.records.event import ServedFeatures

_FEW = 64
"""Rows up to which a walk through the trees and a loop over single numbers are faster than what is made for many rows."""


class ApprovalModel:
    """P(issuer approves | payment, candidate), from a bundle.

    onnx_bytes  one float32 input (n, n_features) and one output: probabilities (n, 2), or (n,) or (n, 1) of approval
    calibrator  from the probability of the ONNX model to one that holds
    encoder     from raw features to the matrix
    offsets     by segment, after the calibrator; absent, none
    """

    def __init__(self, onnx_bytes: bytes, *, calibrator: Calibrator, encoder: Encoder, offsets: SegmentOffsets | None = None) -> None:
        options = onnxruntime.SessionOptions()
        # A decision is a few rows: more threads would cost more in waking up than they save.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(onnx_bytes, sess_options=options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises kinds of its own that it does not export.
            raise BundleRefused(
                f"model.onnx: ONNX Runtime cannot load it ({type(error).__name__}). Copy the bundle again or train again."
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        width = inputs[0].shape[1] if len(inputs) == 1 and len(inputs[0].shape) == 2 else None
        if len(outputs) != 1 or width != len(FEATURES):
            raise BundleRefused(
                f"model.onnx: {len(inputs)} inputs (width {width}) and {len(outputs)} outputs; allowed is one input of "
                f"{len(FEATURES)} features and one output. Train a bundle with this version."
            )
        self._input, self._output = inputs[0].name, outputs[0].name
        self.calibrator = calibrator
        self.encoder = encoder
        self.offsets = offsets or SegmentOffsets()
        self._calibrated = for_few(calibrator)
        self._calibrated(np.array([0.5]))  # Compiled, or read from the cache, before the first payment.
        self._compiled = compiled_scores(onnx_bytes, n_features=len(FEATURES), by_runtime=self._asked)

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """Calibrated probability of each candidate, in the order given.

        returns : (n_candidates,)
        """
        return self.predict_matrix(self.encoder.encode(served))

    def predict_matrix(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probability of each row of an encoded matrix (n, n_features).

        returns : (n,)
        """
        scores = self.scores_matrix(matrix)
        return self.offsets.apply(self.calibrator.apply(scores) if len(matrix) > _FEW else self._calibrated(scores), matrix)

    def scores_matrix(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the model says before calibration, in [0, 1].

        returns : (n,)
        """
        if self._compiled is not None and len(matrix) <= _FEW:
            return self._compiled(matrix)
        return self._asked(matrix)

    def _asked(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """What ONNX Runtime says."""
        if not len(matrix):
            return np.empty(0)
        (output,) = self._session.run([self._output], {self._input: matrix})
        column: NDArray[np.float64] = (output if output.ndim == 1 else output[:, -1]).astype(np.float64)
        return column
