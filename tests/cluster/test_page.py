"""docs/spark.md against what is installed: options of spark-submit, settings of Spark and Hadoop, the API of EMR Serverless."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cluster_kit import SMALL
from test_spark import OWN, lake_of, streams

import honour.cli

pyspark = pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "spark.md").read_text()
JARS = Path(pyspark.__file__).parent / "jars"
OF_EMR = "spark.emr-serverless.driverEnv."
"""Known to EMR Serverless alone: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-python-libraries.html"""
ENVIRONMENTS = ("spark.executorEnv.", "spark.kubernetes.driverEnv.")
"""Settings that end in the name of a variable of the environment."""


def test_every_option_of_spark_submit_on_the_page_is_one_that_it_has() -> None:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    command = Path(sys.executable).parent / "spark-submit"
    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=False, env={"PATH": f"{command.parent}:/usr/bin:/bin"})
    known = set(re.findall(r"^\s+(--[a-z-]+)", said.stderr + said.stdout, re.MULTILINE))
    used = {option for line in submitted() for option in re.findall(r"(?<!\S)(--[a-z-]+)", line)}
    assert len(used) > 6
    assert used <= known


def test_every_setting_on_the_page_is_one_that_spark_or_hadoop_knows() -> None:
    used = set(re.findall(r"\bspark\.(?!md|apache|json\b)[a-zA-Z0-9.-]*[a-zA-Z0-9]", PAGE))
    assert any(name.startswith(OF_EMR) for name in used)
    declared = b"\n".join(settings_text(jar) for jar in ("spark-core", "spark-sql-api", "spark-catalyst", "spark-kubernetes"))
    hadoop = zipfile.ZipFile(next(JARS.glob("hadoop-client-api-*.jar"))).read("core-default.xml")
    known = {name for name in used if name.startswith(OF_EMR) or f"<name>{name.removeprefix('spark.hadoop.')}</name>".encode() in hadoop}
    known |= {name for name in used if all(part.encode() in declared for part in declared_as(name))}
    assert used == known


def test_the_job_of_emr_serverless_is_one_that_its_api_takes() -> None:
    session = pytest.importorskip("botocore.session")
    validate = pytest.importorskip("botocore.validate")
    model = session.get_session().get_service_model("emr-serverless").operation_model("StartJobRun")
    driver = json.loads(re.search(r"--job-driver '(\{.*?\}\})'", PAGE, re.DOTALL).group(1))  # type: ignore[union-attr]  # None fails the test
    asked = {
        "applicationId": "00f1abc",
        "clientToken": "once",
        "executionRoleArn": "arn:aws:iam::123456789012:role/honour",
        "jobDriver": driver,
    }
    report = validate.ParamValidator().validate(asked, model.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert "/honour_main.py" in driver["sparkSubmit"]["entryPoint"]


def test_spark_submit_runs_the_command_from_a_copy_of_its_entry_point_with_a_file_of_ones_own_features(tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    lake_of(tmp_path / "lake", streams(10, chance=3))
    shutil.copy(Path(honour.cli.__path__[0]) / "__main__.py", tmp_path / "honour_main.py")
    (tmp_path / "shop_features.py").write_text(OWN)
    command = Path(sys.executable).parent / "spark-submit"
    settings = [told for key, value in SMALL.items() for told in ("--conf", f"{key}={value}")]
    asked = ["features", "build", "--engine", "spark", "--data", "data", "--lake", "lake", "--out", "out.parquet", "--feature", "seen_30d"]
    environment = {"PYSPARK_DRIVER_PYTHON": sys.executable, "HONOUR_FEATURES__FILES": '["shop_features.py"]'}
    ran = subprocess.run(
        [command, "--master", "local[1]", "--deploy-mode", "client", "--files", "shop_features.py", *settings, "honour_main.py", *asked],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "seen_30d" in pq.read_table(tmp_path / "out.parquet").column_names


def submitted() -> list[str]:
    """What spark-submit is told on the page, up to the arguments of the command itself."""
    lines = re.findall(r"spark-submit (--.*?)(?:honour_main\.py|\"local://)", PAGE.replace("\\\n", " "), re.DOTALL)
    return [*lines, *re.findall(r'"sparkSubmitParameters": "(.*)"', PAGE)]


def declared_as(setting: str) -> tuple[str, ...]:
    """The texts by which Spark's classes name a setting: itself, or what it is put together of there."""
    for known in ENVIRONMENTS:
        if setting.startswith(known):
            return (known,)
    prefix, dot, account = setting.partition(".serviceAccountName")
    return (prefix, dot) if dot and not account else (setting,)


def settings_text(jar: str) -> bytes:
    """The classes of a jar of Spark in which settings are declared, as they are."""
    with zipfile.ZipFile(next(JARS.glob(f"{jar}_*.jar"))) as classes:
        named = [one for one in classes.namelist() if re.search(r"[Cc]onfig|Conf\b|Conf\$|package\$|SparkConf|Params", one)]
        return b"\n".join(classes.read(one) for one in named)
