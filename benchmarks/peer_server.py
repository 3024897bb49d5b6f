"""What others would put in front of the same model, one server each; run by the Python of the peers' own environment.

python benchmarks/peer_server.py naive MODEL PORT     FastAPI, a pandas frame, Booster.predict; payments in, no log, no limits
python benchmarks/peer_server.py litserve MODEL PORT  LitServe; a matrix in, probabilities out
python benchmarks/peer_server.py mlflow MODEL PORT    MLflow's own model server; a matrix in, probabilities out
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import lightgbm
import litserve as ls
import numpy as np
from pydantic import BaseModel

N_ROUTES = 8
CATEGORIES = (
    *("currency", "merchant_id", "merchant_country", "mcc", "channel", "usage"),
    *("network", "funding", "issuer", "issuer_country", "route"),
)


class Card(BaseModel):
    """A card, as pydantic checks it."""

    card_id: str
    bin: str
    network: str
    funding: str | None = None
    issuer: str | None = None
    issuer_country: str | None = None
    expires: str | None = None


class Payment(BaseModel):
    """A payment."""

    payment_id: str
    merchant_id: str
    amount_minor: int
    currency: str
    card: Card
    merchant_country: str | None = None
    mcc: str | None = None
    usage: str | None = None
    channel: str | None = None
    risk_score: float | None = None
    customer: dict[str, Any] | None = None
    attributes: dict[str, Any] = {}


class Request(BaseModel):
    """What is asked."""

    payment: Payment


def naive(model: Path, port: int) -> None:
    """Reads a payment, makes a frame of its candidates with counters of its own, predicts, ranks by expected value."""
    import pandas as pd
    import uvicorn
    from fastapi import FastAPI

    booster, app, seen = lightgbm.Booster(model_file=str(model)), FastAPI(), Counter[str]()
    numbers: dict[str, int] = {}
    columns = [f"f{at}" for at in range(booster.num_feature())]

    @app.post("/v1/decisions")
    def decide(request: Request) -> dict[str, Any]:
        payment = request.payment
        said = {**payment.card.model_dump(), **payment.model_dump(exclude={"card"})}
        rows = []
        for number in range(N_ROUTES):
            row = {name: said.get(name) for name in CATEGORIES} | {"route": f"route_{number}"}
            row |= {"amount_minor": payment.amount_minor, "risk_score": payment.risk_score}
            row |= {f"seen_{name}": seen[f"{name}={row[name]}"] for name in CATEGORIES}
            rows.append(row)
        frame = pd.DataFrame(rows)
        for name in CATEGORIES:
            frame[name] = frame[name].map(lambda value: numbers.setdefault(str(value), len(numbers)))
            seen[f"{name}={said.get(name)}"] += 1
        frame = frame.reindex(columns=[*frame.columns, *columns[len(frame.columns) :]], fill_value=0.0).astype(float)
        p = booster.predict(frame, num_threads=1)
        worth = p * payment.amount_minor * 0.15 - (2.0 + np.arange(N_ROUTES))
        order = np.argsort(-worth)
        ranking = [{"route": f"route_{at}", "p_approve": float(p[at]), "expected_value_minor": float(worth[at])} for at in order]
        return {"payment_id": payment.payment_id, "action": "attempt", "ranking": ranking}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


class MatrixApi(ls.LitAPI):
    """A matrix in, probabilities out. LitServe sends it to its worker, so that it stands here and not where it is used."""

    def __init__(self, model: Path) -> None:
        super().__init__()
        self.model = str(model)

    def setup(self, device: str) -> None:
        """In the worker."""
        self.booster, self.device = lightgbm.Booster(model_file=self.model), device

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """One matrix."""
        return {"predictions": self.booster.predict(np.array(request["inputs"], dtype=float), num_threads=1).tolist()}


def litserve(model: Path, port: int) -> None:
    """One worker of LitServe."""
    server = ls.LitServer(MatrixApi(model), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="critical")


def mlflow(model: Path, port: int) -> None:
    """`mlflow models serve` on the model as its LightGBM flavour saves it."""
    import mlflow.lightgbm

    saved = model.with_name(f"mlflow-{port}")
    mlflow.lightgbm.save_model(lightgbm.Booster(model_file=str(model), params={"num_threads": 1}), str(saved))
    python = Path(sys.executable)
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    arguments = ["models", "serve", "-m", str(saved), "-h", "127.0.0.1", "-p", str(port), "-w", "1", "--env-manager", "local"]
    os.execve(python, [str(python), "-m", "mlflow", *arguments], environment)


if __name__ == "__main__":
    {"naive": naive, "litserve": litserve, "mlflow": mlflow}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
