"""Feast's point-in-time join over running totals, run by `training_sets.py` in Feast's own virtual environment.

feast_join.py ATTEMPTS.parquet KEY,KEY,...
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.repo_config import RepoConfig
from feast.types import Int64

WINDOW_US = 7 * 86_400_000_000


def main() -> None:
    """Two joins for each key, as of the instant and as of a week before it; nothing is kept."""
    attempts = pd.read_parquet(sys.argv[1])
    keys = sys.argv[2].split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FeatureStore(
            config=RepoConfig(
                project="bench",
                provider="local",
                registry=str(folder / "registry.db"),
                online_store={"type": "sqlite", "path": str(folder / "online.db")},
                offline_store={"type": "file"},
                entity_key_serialization_version=3,
            )
        )
        views = [_view(attempts, key, folder) for key in keys]
        store.apply([*(entity for entity, _ in views), *(view for _, view in views)])
        references = [f"{key}_totals:{total}" for key in keys for total in ("n", "approved")]
        for shift_us in (0, WINDOW_US):
            asked = attempts[keys].copy()
            asked["event_timestamp"] = pd.to_datetime(attempts["at_us"] - shift_us, unit="us", utc=True)
            began = time.perf_counter()
            joined = store.get_historical_features(entity_df=asked, features=references, full_feature_names=True).to_df()
            sys.stdout.write(f"feast: {len(joined)} rows in {time.perf_counter() - began:.1f} s\n")


def _view(attempts: pd.DataFrame, key: str, folder: Path) -> tuple[Entity, FeatureView]:
    told = pd.DataFrame({key: attempts[key], "n": 1, "approved": (attempts["status"] == "approved").astype("int64")})
    told[["n", "approved"]] = told.groupby(key, sort=False)[["n", "approved"]].cumsum()
    told["event_timestamp"] = pd.to_datetime(attempts["arrived_us"], unit="us", utc=True)
    path = folder / f"{key}.parquet"
    told.to_parquet(path)
    entity = Entity(name=key, join_keys=[key], value_type=ValueType.STRING)
    source = FileSource(path=str(path), timestamp_field="event_timestamp")
    fields = [Field(name="n", dtype=Int64), Field(name="approved", dtype=Int64)]
    return entity, FeatureView(name=f"{key}_totals", entities=[entity], ttl=timedelta(days=0), schema=fields, source=source)


if __name__ == "__main__":
    main()
