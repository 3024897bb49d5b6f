"""One Spark for all tests, and the folders whose modules they share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from cluster_kit import SMALL  # After its folder can be imported from.


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """The Spark that `spark_session` finds running."""
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    builder = sql.SparkSession.builder.master("local[1]").appName("tests")
    for key, value in SMALL.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
