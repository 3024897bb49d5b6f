"""The model card: what a model was trained on, how it was chosen, and how good it was on rows it had not seen."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from honour.approval.calibration import Calibrator
from honour.approval.metric import Figure, ReliabilityBin
from honour.approval.retry_model import RetryModel
from honour.approval.segment import SegmentOffsets
from honour.features.encode import Encoder


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """Log loss on one block of days, by a model fitted on everything before it."""

    from_us: int
    until_us: int
    log_loss: Figure


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the shipped model is what it is; every figure is of rows later than those that were fitted.

    kind               of model, as `honour train --kind` names it; n_steps: how far it was grown, size: the same for people
    configuration      name of the chosen configuration; left_out: features it may not use, because they drift;
                       configurations: log loss of each on the same later rows
    calibrators        cross-fitted log loss on later rows of each kind, and of the chosen one with offsets by segment;
                       calibration_gain: that of none less that of the chosen
    offsets            log-odds added in each segment, such as route=acq_br_1; empty: the calibrator of the whole is as good
    blocks             the chosen configuration block by block, before calibration
    freshness_gain     log loss of a model one block old less that of a fresh one: what fitting on the newest rows is worth
    refitted           the shipped model was fitted on the held-out days too, after it was judged
    """

    kind: str
    configuration: str
    left_out: tuple[str, ...]
    configurations: dict[str, Figure]
    n_steps: int
    size: str
    calibrators: dict[str, float]
    calibration_gain: Figure
    blocks: tuple[BlockReport, ...]
    freshness_gain: Figure | None
    refitted: bool
    offsets: dict[str, float] = {}


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle was trained on and how it did on the last days, which the judged model had not seen.

    from_us, until_us  instants of the first and of the last attempt
    judged_from_us     first instant of the held-out days
    baselines          gain in log loss over each baseline on the held-out days: positive is better
    """

    from_us: int
    until_us: int
    n_rows: int
    n_payments: int
    approval_rate: float
    route_approval_rates: dict[str, float]
    seed: int
    holdout_days: float
    judged_from_us: int
    metrics: dict[str, Figure]
    baselines: dict[str, Figure]
    reliability: tuple[ReliabilityBin, ...]
    calibrator: str
    evidence: Evidence


class ParityRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sample rows, and what the training library answered for them.

    rows  encoded features, each row in catalogue order; None is missing
    raw   log-odds of the training library
    p     calibrated probability
    """

    rows: tuple[tuple[float | None, ...], ...]
    raw: tuple[float, ...]
    p: tuple[float, ...]


class JudgedModel(NamedTuple):
    """The model as it was before the held-out days were shown to it: what it says of them is no memory."""

    onnx: bytes
    calibrator: Calibrator
    encoder: Encoder
    offsets: SegmentOffsets = SegmentOffsets()


class TrainedModel(NamedTuple):
    """What training leaves behind, ready to be written as a bundle.

    training  the card
    judged    not written; None when nothing was kept aside
    offsets   by segment, after the calibrator
    """

    onnx: bytes
    calibrator: Calibrator
    encoder: Encoder
    retry_model: RetryModel
    parity: ParityRows
    training: Training
    judged: JudgedModel | None = None
    offsets: SegmentOffsets = SegmentOffsets()
