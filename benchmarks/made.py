"""What the benchmarks run on: settings, a bundle of 300 trees with 63 leaves, a past, and the bodies that are sent."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lightgbm
import msgspec
import numpy as np

from honour.approval.calibration import Platt
from honour.approval.card import Evidence, TrainedModel, Training
from honour.approval.metric import Figure
from honour.approval.retry_model import AdditiveLogit, RetryModel
from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.learning.export import parity_rows, to_onnx, with_float32_thresholds
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import DataSettings, Settings
from honour.release.bundle import write_bundle
from honour.stores.sqlite import sqlite_log

N_TREES, N_LEAVES = 300, 63
ROUTES_MAX = 16
COUNTRIES = ("BR", "MX", "US", "DE", "FR")
_CATEGORIES = {
    "network": ("visa", "mastercard"),
    "funding": ("credit", "debit"),
    "issuer_country": COUNTRIES,
    "issuer": tuple(f"issuer_{n}" for n in range(40)),
    "merchant_id": tuple(f"mer_{n}" for n in range(20)),
    "currency": ("BRL", "USD", "EUR"),
    "route": tuple(f"route_{n}" for n in range(ROUTES_MAX)),
}


def settings(folder: Path, *, n_routes: int) -> Settings:
    """`n_routes` routes that take everything, so that each is one eligible candidate; exploration on."""
    routes = tuple(Route(id=f"route_{n}", cost=RouteCost(attempt_minor=2 + n, approval_bps=150)) for n in range(n_routes))
    return Settings(
        data=DataSettings(dir=str(folder)), routes=routes, merchants={"default": Merchant(margin_bps=1500, exploration_budget_minor=2.0)}
    )


def bundle(folder: Path, *, booster_file: Path | None = None) -> str:
    """Write a bundle of trees grown on random rows; how good they are does not matter here, how large they are does.

    booster_file  where the trees are also written as LightGBM keeps them, for peers
    """
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(8_000, len(FEATURES))).astype(np.float32)
    y = (generator.random(len(matrix)) < 1.0 / (1.0 + np.exp(-matrix[:, :5].sum(axis=1)))).astype(float)
    grown = {"objective": "binary", "num_leaves": N_LEAVES, "min_data_in_leaf": 5, "learning_rate": 0.05, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(grown, lightgbm.Dataset(matrix, label=y), num_boost_round=N_TREES)
    if booster_file is not None:
        booster.save_model(booster_file)
    calibrator = Platt(slope=1.1, intercept=0.1)
    numbers = {name: {value: float(generator.normal()) for value in values} for name, values in _CATEGORIES.items()}
    trained = TrainedModel(
        onnx=to_onnx(with_float32_thresholds(booster), n_features=len(FEATURES)),
        calibrator=calibrator,
        retry_model=RetryModel(recovery=AdditiveLogit(intercept=-1.0, weights={})),
        encoder=Encoder(schema=SCHEMA_ID, categories=numbers),
        parity=parity_rows(lambda rows: booster.predict(rows, raw_score=True), matrix=matrix, calibrator=calibrator, seed=1),
        training=_card(len(matrix)),
    )
    return write_bundle(folder, trained=trained)


def past(folder: Path, *, n_attempts: int) -> None:
    """A log with a month of answered attempts, so that windows are full and the state is as large as in real use."""
    draw, end = random.Random(2), datetime.now(tz=UTC) - timedelta(minutes=1)
    folder.mkdir(parents=True, exist_ok=True)
    log = sqlite_log(folder / "events.db")
    try:
        events = []
        for n in range(n_attempts):
            at = end - timedelta(days=30) * (1 - n / n_attempts)
            paid = msgspec.convert(payment(draw, payment_id=f"past_{n}"), Payment)
            status = "approved" if draw.random() < 0.85 else "declined"
            route = f"route_{draw.randrange(ROUTES_MAX)}"
            attempt = Attempt(attempt_id=f"past_{n}", payment=paid, route=route, attempted_at=at, status=status)
            events.append((AttemptReported(attempt=attempt), to_us(at)))
        log.append_many(events)
    finally:
        log.close()


def payment(draw: random.Random, *, payment_id: str) -> dict[str, object]:
    """One payment of the stream, as the wire carries it: every field of the contract's example."""
    country = draw.choice(COUNTRIES)
    return {
        "payment_id": payment_id,
        "merchant_id": f"mer_{draw.randrange(20)}",
        "amount_minor": draw.randrange(500, 50_000),
        "currency": draw.choice(_CATEGORIES["currency"]),
        "merchant_country": country,
        "mcc": "5732",
        "usage": "one_off",
        "channel": "web",
        "risk_score": round(draw.random(), 3),
        "card": {
            "card_id": f"crd_{draw.randrange(50_000)}",
            "bin": f"4{draw.randrange(1_000):05d}",
            "network": draw.choice(_CATEGORIES["network"]),
            "funding": draw.choice(_CATEGORIES["funding"]),
            "issuer": f"issuer_{draw.randrange(40)}",
            "issuer_country": country,
            "expires": "2032-03",
        },
        "customer": {"customer_id": f"cus_{draw.randrange(40_000)}", "country": country},
        "attributes": {"basket_items": draw.randrange(1, 9)},
    }


def decision_bodies(*, n: int, seed: int, prefix: str) -> list[bytes]:
    """Bodies of POST /v1/decisions, each for a payment of its own."""
    draw = random.Random(seed)
    return [msgspec.json.encode({"payment": payment(draw, payment_id=f"{prefix}_{at}")}) for at in range(n)]


def _card(n_rows: int) -> Training:
    nothing = Figure(value=0.0, low=0.0, high=0.0, n=0)
    evidence = Evidence(
        kind="lightgbm",
        configuration="benchmark",
        left_out=(),
        configurations={},
        n_steps=N_TREES,
        size=f"{N_TREES} trees",
        calibrators={},
        calibration_gain=nothing,
        blocks=(),
        freshness_gain=None,
        refitted=False,
    )
    return Training(
        from_us=0,
        until_us=0,
        n_rows=n_rows,
        n_payments=n_rows,
        approval_rate=0.5,
        route_approval_rates={},
        seed=1,
        holdout_days=0,
        judged_from_us=0,
        metrics={},
        baselines={},
        reliability=(),
        calibrator="platt",
        evidence=evidence,
    )
