"""What the stages of a run work on: read once, kept while it goes on, read again from its files when the run is taken up later."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # as above

from honour.approval.calibration import Calibrator
from honour.approval.card import JudgedModel
from honour.approval.model import ApprovalModel
from honour.approval.segment import SegmentOffsets
from honour.features.batch import BatchReport
from honour.features.encode import Encoder
from honour.features.expectation import expected_of
from honour.features.from_log import LogReader
from honour.learning.dataset import DAY_US, Rows, rows_of
from honour.learning.split import Split, split_at
from honour.loop import Step, build_features
from honour.pipeline.folded import Folded, folded
from honour.pipeline.folder import RunFolder
from honour.records.event import LoggedEvent
from honour.records.instant import from_us
from honour.records.settings import Settings
from honour.release.bundle import Bundle
from honour.stores.checking import looked_back, tallies_in
from honour.stores.training import TrainingSet

REPLAYED_MAX = 5_000
"""Later attempts that are replayed and held against the log: the last ones. More say little more and take their time."""
TABLE, BUNDLE = "training.parquet", "bundle"
_JUDGED = ("judged.onnx", "judged-calibrator.json", "judged-encoder.json", "judged-segments.json")


class Work:
    """One run at work.

    champion  the live bundle, or None; now_us: the instant of the run
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        data_dir: Path,
        settings: Settings,
        events: list[LoggedEvent],
        champion: Bundle | None,
        seed: int,
        threads: int,
        now_us: int,
        step: Step,
    ) -> None:
        self.folder, self.data_dir, self.settings = folder, data_dir, settings
        self.events, self.champion = events, champion
        self.seed, self.threads, self.now_us, self.step = seed, threads, now_us, step

    @property
    def bundle(self) -> Path:
        """Folder of the bundle that this run makes."""
        return self.folder.path / BUNDLE

    @cached_property
    def table(self) -> pa.Table:
        """The training set, as the stage `features` left it."""
        return pq.read_table(self.folder.path / TABLE)

    @cached_property
    def rows(self) -> Rows:
        """The training set as arrays."""
        return rows_of(self.table)

    @cached_property
    def held(self) -> Split:
        """The cut: attempts to judge on are later than it, and than anything that the champion has seen."""
        last_us = int(self.rows.at_us.max())
        cut_us = last_us + 1 - round(self.settings.gates.holdout_days * DAY_US)
        if self.champion is not None:
            cut_us = max(cut_us, self.champion.manifest.training.until_us + 1)
        return split_at(cut_us, payments=self.rows.payments, at_us=self.rows.at_us)

    @property
    def holdout_days(self) -> float:
        """The length of what is kept aside, days."""
        return (int(self.rows.at_us.max()) + 1 - self.held.from_us) / DAY_US

    def check_days(self) -> BatchReport:
        """The last days of the log, as many as are held out, against what is expected of them."""
        reader = LogReader()
        for logged in self.events:
            reader.read(logged)
        routes = [route.id for route in self.settings.routes]
        expected = expected_of(self.settings.quality.expectations, routes=routes)
        n_days = math.ceil(self.settings.gates.holdout_days)
        now = from_us(self.now_us)
        return looked_back(tallies_in(reader.take(), expected=expected), expected=expected, n_days=n_days, now=now).report("log", now=now)

    def build_table(self) -> TrainingSet:
        """Build the training set of the run's events."""
        to_seq = self.events[-1].seq if self.events else 0
        return build_features(self.data_dir, to_seq=to_seq, out=str(self.folder.path / TABLE), step=self.step, threads=self.threads)

    def keep_judged(self, judged: JudgedModel) -> None:
        """Write the model that has not seen the held-out days."""
        contents = (judged.onnx, *(msgspec.json.encode(part) for part in (judged.calibrator, judged.encoder, judged.offsets)))
        for name, content in zip(_JUDGED, contents, strict=True):
            self.folder.keep(name, content)

    def judged(self) -> ApprovalModel:
        """The model that has not seen the held-out days."""
        onnx, calibrator, encoder, offsets = ((self.folder.path / name).read_bytes() for name in _JUDGED)
        kind: Any = Calibrator
        return ApprovalModel(
            onnx,
            calibrator=msgspec.json.decode(calibrator, type=kind),
            encoder=msgspec.json.decode(encoder, type=Encoder),
            offsets=msgspec.json.decode(offsets, type=SegmentOffsets),
        )

    @cached_property
    def folded(self) -> Folded:
        """The log walked once for both: what a server had when it was asked, and what it has at the end."""
        self.step("folding the log", 0, None)
        late_us = np.sort(self.rows.at_us[self.held.late])
        return folded(self.events, settings=self.settings, after_us=int(late_us[max(0, len(late_us) - REPLAYED_MAX)]) - 1)
