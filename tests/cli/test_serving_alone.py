"""An installation without the training libraries serves: `pip install honour`, no extras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRAINING = ("duckdb", "lightgbm", "onnx", "onnxmltools", "openpyxl", "pandas", "pyarrow", "scipy", "sklearn")
PROGRAM = """
import sys
for name in {training!r}:
    sys.modules[name] = None
sys.argv = ["honour", *{arguments!r}]
from honour.cli.main import main
main()
"""


def _alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(training=TRAINING, arguments=arguments)
    source = Path(__file__).resolve().parents[2] / "src"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(source)}, check=False)


def test_help_init_and_doctor_work_without_them(tmp_path: Path) -> None:
    assert "demo" in _alone("--help").stdout
    assert _alone("init", str(tmp_path)).returncode == 0
    again = _alone("init", str(tmp_path))
    assert (again.returncode, "--force overwrites it" in again.stderr) == (2, True)
    examined = _alone("doctor", "--config", str(tmp_path / "honour.toml"), "--data", str(tmp_path))
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "enabled: acq_br_1, acq_us_2" in examined.stdout


def test_a_server_without_routes_does_not_start(tmp_path: Path) -> None:
    refused = _alone("serve", "--data", str(tmp_path))
    assert refused.returncode == 2
    assert "add [[routes]]" in refused.stderr.lower()


def test_a_corrupt_configuration_or_bundle_is_named_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "honour.toml").write_text("[serving]\nport = 'x'\n[[routes]]\nid = 'a'\n", encoding="utf-8")
    refused = _alone("serve", "--data", str(tmp_path))
    assert (refused.returncode, "serving.port: expected `int`" in refused.stderr) == (2, True)
    (tmp_path / "honour.toml").write_text("[[routes]]\nid = 'a'\n", encoding="utf-8")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{", encoding="utf-8")
    refused = _alone("serve", "--data", str(tmp_path))
    assert (refused.returncode, "docs/errors.md#bundle-refused" in refused.stderr) == (1, True)
