"""Limits that a model must keep to be released: the section `[gates]` of honour.toml."""

from __future__ import annotations

from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Days = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class GateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `honour pipeline run` holds a model against; `honour.release.gate` says what each figure is.

    holdout_days                   last days kept aside to judge on; fewer when the champion was trained on some of them
    data_age_hours_max             age of the newest answer
    silent_hours_share_max         hours without an attempt at a time of day that usually has some
    later_attempts_min             attempts to judge on that neither model has seen
    drift_max                      population stability index of the attempts to judge on against those before
    uncovered_share_max            attempts of segments that only one side of the cut knows
    feature_auc_max                what one feature alone may know of the answer
    auc_max                        what the model may know of the answer
    log_loss_better_max            gain over the champion from which on a gain is a leak
    log_loss_worse_max             loss against the champion that is allowed
    calibration_error_max          over all attempts, noise taken off
    segment_calibration_error_max  in the worst segment, noise taken off
    segment_share_min              of the attempts to judge on, that a segment needs for its calibration to count
    value_worse_minor_max          what the policy may surely lose against the champion's, minor units per attempt
    latency_ms_max                 99th percentile of scoring 8 candidates
    parity_share_max               values that a server has and the log does not give again
    """

    holdout_days: Days = 10.0
    data_age_hours_max: NotNegative = 48.0
    silent_hours_share_max: Share = 0.05
    later_attempts_min: Count = 1000
    drift_max: NotNegative = 0.25
    uncovered_share_max: Share = 0.05
    feature_auc_max: Share = 0.95
    auc_max: Share = 0.98
    log_loss_better_max: NotNegative = 0.1
    log_loss_worse_max: NotNegative = 0.005
    calibration_error_max: Share = 0.02
    segment_calibration_error_max: Share = 0.05
    segment_share_min: Share = 0.01
    value_worse_minor_max: NotNegative = 0.0
    latency_ms_max: NotNegative = 5.0
    parity_share_max: Share = 0.0
