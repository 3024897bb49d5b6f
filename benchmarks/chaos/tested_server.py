"""The server under test: `honour serve` on a folder, with a clock and a model that a file beside it can disturb.

python benchmarks/chaos/tested_server.py FOLDER PORT

`clock` in the folder holds microseconds that are added to the clock; while `slow` is there the model sleeps for as many milliseconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from honour.approval.model import ApprovalModel
from honour.cli.settings import load_settings
from honour.records.event import ServedFeatures
from honour.serving import start


def slow_down(file: Path) -> None:
    """Make every model as slow as the file says."""
    score = ApprovalModel.predict_many

    def late(model: ApprovalModel, served: ServedFeatures) -> NDArray[np.float64]:
        if said := _said(file):
            time.sleep(said / 1_000)
        return score(model, served)

    ApprovalModel.predict_many = late


def main(folder: Path, port: int) -> None:
    """Serve until stopped or killed."""
    config = folder / "honour.toml"
    settings = load_settings(config, data_dir=folder)
    engine = start.prepare(settings, bundle=None)
    engine._clock_us = lambda: time.time_ns() // 1_000 + _said(folder / "clock")
    slow_down(folder / "slow")
    start.run(engine, settings, host="127.0.0.1", port=port, config=config, load=lambda: load_settings(config, data_dir=folder))


def _said(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
