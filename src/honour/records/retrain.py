"""When a new model is to be trained: the section `[retrain]` of honour.toml."""

from __future__ import annotations

from typing import Annotated

import msgspec

from honour.records.gates import Count, NotNegative, Share

Minutes = Annotated[float, msgspec.Meta(gt=0)]


class RetrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When `honour pipeline watch` starts a run.

    schedule              five fields of cron, in UTC; empty is never
    check_minutes         minutes between two looks at how the newest model does
    later_attempts_min    answered attempts later than its training without which nothing is said of it
    later_hours_min       hours that they must span: a morning is always unlike a day
    drift_max             population stability index of their mix against that of the training range
    score_drift_max       the same of the probabilities that the model gives
    calibration_error_max on those attempts, noise taken off
    log_loss_rise_max     log loss there above that of the model's own held-out days, noise taken off
    backoff_minutes       wait after a run that failed, doubled with each further one up to backoff_minutes_max
    """

    schedule: str = "0 3 * * *"
    check_minutes: Minutes = 60.0
    later_attempts_min: Count = 2000
    later_hours_min: NotNegative = 24.0
    drift_max: NotNegative = 0.1
    score_drift_max: NotNegative = 0.1
    calibration_error_max: Share = 0.02
    log_loss_rise_max: NotNegative = 0.02
    backoff_minutes: Minutes = 60.0
    backoff_minutes_max: Minutes = 1440.0
