"""The same declarations on Spark: every number that DuckDB gives, over random streams, from a lake to a training set on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from math import isclose
from pathlib import Path
from random import randrange
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cluster_kit import SMALL
from feature_streams import EVERY_AGGREGATION, START_US, World, worlds
from hypothesis import HealthCheck, Phase, given, seed, settings

from honour.cluster.build import build_on_spark
from honour.errors import LakeBroken
from honour.features import sql_one_pass
from honour.features.catalogue import LIBRARY
from honour.features.from_log import LogReader
from honour.features.own import combined
from honour.features.view import ContextFeature
from honour.stores import training
from honour.stores.lake import Lake, Manifest, columns_now
from honour.stores.training import build_training_set

pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow


OWN = """
from honour.features.view import DAY, HOUR, WindowFeature

FEATURES = (
    WindowFeature(
        name="channel_route_declined_rate_7d", entity=("channel", "route"), measure="declined_rate", window_s=7 * DAY, tile_s=HOUR,
        shrink_to="overall_approval_rate_7d", owner="checkout",
    ),
    WindowFeature(name="seen_30d", entity=("card_id",), measure="distinct", of="merchant_id", window_s=30 * DAY, tile_s=DAY),
)
"""


def renamed(one: Any) -> Any:
    """A declaration by a name that nothing else has."""
    parent = getattr(one, "shrink_to", None)
    return replace(one, name=f"each_{one.name}", **({"shrink_to": f"each_{parent}"} if parent else {}))


EVERYTHING = combined(LIBRARY.features, [renamed(one) for one in EVERY_AGGREGATION.features if not isinstance(one, ContextFeature)])
"""Catalogue, shelf, and each aggregation over narrow and wide entities."""


@pytest.mark.usefixtures("spark")
def test_every_feature_is_the_same_number_in_duckdb_and_on_spark_where_keys_are_split_and_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CATALOGUE", EVERYTHING)
    monkeypatch.setattr(sql_one_pass, "SPLIT_ROWS", 16)  # Every key with more answers is split into parts of 16 events.
    monkeypatch.setattr(sql_one_pass, "SAMPLED", 1)
    chance = randrange(2**32)
    longest = sorted(streams(200, chance=chance), key=lambda world: len(world.log))[-25:]
    lake = lake_of(tmp_path / "lake", longest)
    computed = build_training_set(lake, folder=tmp_path / "duckdb")
    by_spark = build_on_spark(lake, folder=str(tmp_path / "spark"))
    assert computed.n_rows > 25, f"seed {chance}"
    assert_same(computed.to_arrow(), by_spark.to_arrow(), said=f"seed {chance}")


@pytest.mark.usefixtures("spark")
def test_a_set_that_is_there_is_not_built_again_and_a_file_that_was_changed_is_not_used(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake", streams(20, chance=1))
    made = build_on_spark(lake, folder=str(tmp_path), features=["amount_minor"])
    assert not made.was_there
    assert build_on_spark(lake, folder=str(tmp_path), features=["amount_minor"]) == msgspec.structs.replace(made, was_there=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(made.path).name, Path(made.path).stem + ".json", "lake"])
    file = next((tmp_path / "lake").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LakeBroken, match=file.name):
        build_on_spark(lake, folder=str(tmp_path), features=["mcc"])


def test_without_java_the_error_says_what_to_install(tmp_path: Path) -> None:
    found = honour("features", "build", "--engine", "spark", "--lake", str(tmp_path), PATH="/nowhere", JAVA_HOME="")
    assert found.returncode == 2
    assert "no Java found" in found.stderr
    assert "openjdk-17" in found.stderr


def test_a_feature_of_ones_own_file_is_the_same_number_too(tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    streams_of_shop = streams(60, chance=2)
    lake_of(tmp_path / "lake", streams_of_shop)
    (tmp_path / "own.py").write_text(OWN)
    asked = ("features", "build", "--lake", str(tmp_path / "lake"), "--feature", "channel_route_declined_rate_7d", "--feature", "seen_30d")
    sets = []
    for engine in ("duckdb", "spark"):
        out = tmp_path / f"{engine}.parquet"
        said = honour(*asked, "--engine", engine, "--out", str(out), HONOUR_FEATURES__FILES=json.dumps([str(tmp_path / "own.py")]))
        assert said.returncode == 0, said.stderr
        sets.append(pq.read_table(out))
    assert {"channel_route_declined_rate_7d", "seen_30d"} <= set(sets[0].column_names)
    assert_same(*sets)


def honour(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own with a small Spark."""
    conf = " ".join(f"--conf '{key}={value}'" for key, value in SMALL.items())
    told = {**os.environ, "PYSPARK_SUBMIT_ARGS": f"--master local[1] {conf} pyspark-shell", **environment}
    return subprocess.run([sys.executable, "-m", "honour.cli", *arguments], env=told, capture_output=True, text=True, check=False)


def streams(n: int, *, chance: int) -> list[World]:
    """Random streams of decisions and answers: late, reported twice, out of their order."""
    found: list[World] = []

    @seed(chance)
    @settings(max_examples=n, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None, deadline=None)
    @given(worlds(n_max=60))
    def collect(world: World) -> None:
        found.append(world)

    collect()
    return found


def lake_of(place: Path, found: list[World]) -> Lake:
    """A lake of several streams, one after the other."""
    parts, seq, shift_us = [], 0, 0
    for world in found:
        reader = LogReader()
        for logged in world.log:
            reader.read(logged)
        part = reader.take()
        moves = {"seq": seq, "asked_seq": seq, "arrived_us": shift_us, "at_us": shift_us}
        parts.append(
            pa.table({name: pc.add(part[name], moves.get(name, 0)) if name in moves else part[name] for name in part.column_names})
        )
        seq, shift_us = seq + len(world.log), shift_us + world.now_us - START_US
    lake = Lake(str(place))
    lake.land(pa.concat_tables(parts), Manifest(source="files", columns=columns_now()), after_seq=seq)
    return lake


def assert_same(computed: pa.Table, by_spark: pa.Table, *, said: str = "") -> None:
    """The same columns of the same types, the same rows in the same order, every number to 1e-9."""
    assert by_spark.schema.names == computed.schema.names
    assert {one.name: one.type for one in by_spark.schema} == {one.name: one.type for one in computed.schema}
    assert len(by_spark) == len(computed)
    differing = {}
    for name in computed.column_names:
        pairs = zip(computed[name].to_pylist(), by_spark[name].to_pylist(), strict=True)
        if wrong := [(at, pair) for at, pair in enumerate(pairs) if not same(*pair)]:
            differing[name] = wrong[:3]
    assert not differing, f"column: row, (DuckDB, Spark); {said}"


def same(one: Any, other: Any) -> bool:
    """Equal, or numbers that are to 1e-9."""
    return one == other or (isinstance(one, float) and isinstance(other, float) and isclose(one, other, rel_tol=1e-9))
