"""The Spark that computes: that of `spark-submit` where it started this process, else one on this machine."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from honour.errors import BadSettings

_SUBMITTED = "PYSPARK_GATEWAY_PORT"  # Set by spark-submit, whose Java runs already.


def spark_session() -> Any:
    """A session of its own, so that no view or setting of another user of the same Spark is touched."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # About pandas 3, which nothing here hands to Spark.
            from pyspark.sql import SparkSession
    except ImportError:
        raise BadSettings("--engine spark: PySpark is not installed. Install it with `pip install 'honour[spark]'`.") from None
    if _SUBMITTED not in os.environ and SparkSession.getActiveSession() is None and not _java():
        raise BadSettings(
            f"--engine spark: no Java found; JAVA_HOME is {os.environ.get('JAVA_HOME') or 'not set'} and there is no `java` on the PATH. "
            "Install Java 17 or later (Debian, Ubuntu: apt-get install openjdk-17-jre-headless), or start Honour with spark-submit."
        )
    is_ours = _SUBMITTED not in os.environ and SparkSession.getActiveSession() is None
    session = SparkSession.builder.appName("honour").getOrCreate().newSession()
    if is_ours:
        session.sparkContext.setLogLevel("ERROR")  # What arrived hour by hour is added up in one task; Spark warns of it.
    session.conf.set("spark.sql.constraintPropagation.enabled", "false")  # Of many joins on one key it derives every pair.
    session.conf.set(
        "spark.sql.codegen.hugeMethodLimit", "8000"
    )  # Bytes; Java interprets methods that are longer, at a tenth of the speed.
    return session


def spark_place(place: str, *, session: Any) -> str:
    """A folder or s3:// address of Honour's as Spark reads it.

    Spark has S3 as s3a, and EMR as s3; settings of the address, such as a region, are those of the cluster there.
    """
    if not place.startswith("s3://"):
        return f"file://{Path(place).absolute()}"
    address = place.partition("?")[0]
    known = session.sparkContext._jsc.hadoopConfiguration().get("fs.s3.impl") is not None
    return address if known else f"s3a://{address.removeprefix('s3://')}"


def _java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return (Path(home) / "bin" / "java").is_file() if home else shutil.which("java") is not None
