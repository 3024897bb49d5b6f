"""How the newest model does on attempts that came after its training: is the world another one, and does the model still hold?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from honour.approval.interval import figures
from honour.approval.metric import Figure
from honour.learning.dataset import Rows, rows_of
from honour.learning.split import Split, split_at
from honour.loop import Step, build_features
from honour.pipeline.result import DriftReport, Sign
from honour.records.retrain import RetrainSettings
from honour.release.bundle import Bundle, load_bundle
from honour.release.data_figures import HOUR_US, mix_drift, number_drift
from honour.release.model_figures import probabilities

COMPARED_MAX = 20_000
"""Attempts of the training range that later ones are compared with: the last ones, which are the most like what the model met."""


def drift_of(data_dir: Path, *, bundle: Path, limits: RetrainSettings, threads: int | None = None, step: Step) -> DriftReport:
    """Attempts of the log after the training range of `bundle` against those before, and the bundle's probabilities on them."""
    loaded = load_bundle(bundle)
    with tempfile.TemporaryDirectory(dir=data_dir) as folder:  # Made anew each time: kept ones would fill the disk.
        out = Path(folder) / "training.parquet"
        rows = rows_of(build_features(data_dir, out=str(out), step=step, threads=threads).to_arrow())
    step("judging", 0, None)
    held = split_at(loaded.manifest.training.until_us + 1, payments=rows.payments, at_us=rows.at_us)
    return report_of(rows, held=held, bundle=loaded, limits=limits)


def report_of(rows: Rows, *, held: Split, bundle: Bundle, limits: RetrainSettings) -> DriftReport:
    """As `drift_of`, from rows and their cut at the end of the bundle's training range."""
    n_later, signs = int(held.late.sum()), tuple[Sign, ...]()
    hours = float(np.ptp(rows.at_us[held.late])) / HOUR_US if n_later else 0.0
    if n_later >= limits.later_attempts_min and hours >= limits.later_hours_min and held.early.any():
        signs = _signs(rows, held=held, bundle=bundle, limits=limits)
    return DriftReport(bundle_id=bundle.bundle_id, n_later=n_later, hours=hours, signs=signs)


def _signs(rows: Rows, *, held: Split, bundle: Bundle, limits: RetrainSettings) -> tuple[Sign, ...]:
    late, training = rows.where(held.late), bundle.manifest.training
    earliest = np.sort(rows.at_us[held.early])[-COMPARED_MAX:][0]
    before, p = rows.where(held.early & (rows.at_us >= earliest)), probabilities(bundle.model, late)
    mix = mix_drift(rows, held=held._replace(early=held.early & (rows.at_us >= earliest)))
    most = max(mix, key=lambda name: mix[name])
    judged = figures(p, late.approved, payments=late.payments, seed=0)
    was, now, error = training.metrics["log_loss"], judged["log_loss"], judged["calibration_error"]
    return (
        Sign(name="drift", figure=mix[most], limit=limits.drift_max, found=f"population stability index of {most}"),
        Sign(
            name="score_drift",
            figure=number_drift(probabilities(bundle.model, before), p),
            limit=limits.score_drift_max,
            found="population stability index of the model's probabilities",
        ),
        Sign(name="calibration", figure=error.low, limit=limits.calibration_error_max, found=f"calibration error {_said(error)}"),
        Sign(
            name="log_loss",
            figure=max(0.0, now.low - was.high),
            limit=limits.log_loss_rise_max,
            found=f"log loss {_said(now)}, on its held-out days {_said(was)}",
        ),
    )


def _said(figure: Figure) -> str:
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"
