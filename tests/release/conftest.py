"""A small trained model, made without a log, and bundles of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from honour.approval.calibration import Calibrator, Platt
from honour.approval.card import Evidence, TrainedModel, Training
from honour.approval.metric import Figure
from honour.approval.retry_model import AdditiveLogit, RetryModel
from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.learning.export import parity_rows
from honour.learning.kinds.boosted_lightgbm import LightGBMModel
from honour.release.bundle import write_bundle

MakeBundle = Callable[..., tuple[Path, str]]

for _folder in (Path(__file__).parent, Path(__file__).parents[1] / "serving"):
    sys.path.insert(0, str(_folder))  # The small shop, and `honour serve` in a process of its own.

FIGURE = Figure(value=0.5, low=0.4, high=0.6, n=100)


def _card() -> Training:
    evidence = Evidence(
        kind="lightgbm",
        configuration="small",
        left_out=(),
        configurations={"small": FIGURE},
        n_steps=2,
        size="20 trees",
        calibrators={"platt": 0.5},
        calibration_gain=FIGURE,
        blocks=(),
        freshness_gain=None,
        refitted=True,
    )
    return Training(
        from_us=0,
        until_us=1_000,
        n_rows=1_000,
        n_payments=1_000,
        approval_rate=0.5,
        route_approval_rates={"acq_1": 0.8, "acq_2": 0.3},
        seed=1,
        holdout_days=10,
        judged_from_us=900,
        metrics={"log_loss": FIGURE},
        baselines={"base_rate": FIGURE},
        reliability=(),
        calibrator="platt",
        evidence=evidence,
    )


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    """Trees for which acq_1 is the better route, a Platt calibrator, and an encoder of routes."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(1_000, len(FEATURES))).astype(np.float32)
    route = next(place for place, feature in enumerate(FEATURES) if feature.name == "route")
    matrix[:, route] = generator.choice(np.array([0.3, 0.8], dtype=np.float32), 1_000)
    y = (generator.random(1_000) < matrix[:, route]).astype(float)
    model = LightGBMModel(n_steps=2, n_leaves=6, learning_rate=0.05, l2=20.0).fit(matrix, y)
    calibrator = Platt(slope=1.2, intercept=0.1)
    return TrainedModel(
        onnx=model.to_onnx(),
        calibrator=calibrator,
        encoder=Encoder(schema=SCHEMA_ID, categories={"route": {"acq_1": 0.8, "acq_2": 0.3}}),
        retry_model=RetryModel(recovery=AdditiveLogit(intercept=-1.0, weights={"form=none": 0.5})),
        parity=parity_rows(model.decision_function, matrix=matrix, calibrator=calibrator, seed=1),
        training=_card(),
    )


@pytest.fixture
def bundle(trained: TrainedModel, tmp_path: Path) -> MakeBundle:
    """Makes the folder of a bundle, and its bundle_id: `bundle(2)`, one for each seed; `calibrator` makes it say something else."""

    def make(seed: int, *, calibrator: Calibrator | None = None) -> tuple[Path, str]:
        calibrator = calibrator or trained.calibrator
        said = calibrator.apply(1.0 / (1.0 + np.exp(-np.array(trained.parity.raw))))
        changed = trained._replace(
            calibrator=calibrator,
            parity=msgspec.structs.replace(trained.parity, p=tuple(map(float, said))),
            training=msgspec.structs.replace(trained.training, seed=seed),
        )
        folder = tmp_path / "made" / str(seed)
        return folder, write_bundle(folder, trained=changed)

    return make
