"""What a watch has others do: `honour pipeline run` and `honour pipeline drift` as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import msgspec

from honour.errors import BadInput, LogContractBroken
from honour.pipeline.folder import alone
from honour.pipeline.result import DriftReport, Ran
from honour.pipeline.watch import Ended, Jobs
from honour.release.gate import first_failed, in_words

_DRIFTED = 1


class Processes:
    """Jobs as `honour` commands. `stop`, from a signal handler, ends the one that is at work: a run goes on later where it stood.

    arguments  options that every command gets, such as --data; note: called with each line of progress
    """

    def __init__(self, data_dir: Path, *, arguments: Sequence[str], threads: int | None, note: Callable[[str], None]) -> None:
        self._data_dir, self._note = data_dir, note
        self._arguments = [*arguments, "--json", *(["--threads", str(threads)] if threads is not None else [])]
        self._process: subprocess.Popen[str] | None = None
        self.stopped = Event()

    @property
    def jobs(self) -> Jobs:
        """What `honour.pipeline.watch` calls."""
        return Jobs(run=self._run, look=self._look, is_busy=self._is_busy)

    def stop(self) -> None:
        """End what is at work, and start nothing any more."""
        self.stopped.set()
        if self._process is not None:
            self._process.terminate()

    def _run(self, to_seq: int) -> Ended | None:
        code, printed, last = self._command("run", "--to-seq", str(to_seq))
        if self.stopped.is_set():
            return None
        try:
            result = msgspec.json.decode(printed, type=Ran).result
        except msgspec.DecodeError:
            return Ended(code or 1, None, last or f"the run ended with {code}")
        failed = first_failed(result.gates)
        if failed is not None:
            return Ended(result.exit_code, None, f"stopped by the gate {in_words(failed)}")
        return Ended(0, result.bundle, f"registered bundle {(result.bundle_id or '')[:19]} as version {result.version}, the challenger")

    def _look(self, bundle: Path) -> DriftReport | None:
        code, printed, last = self._command("drift", "--bundle", str(bundle))
        if self.stopped.is_set():
            return None
        if code not in (0, _DRIFTED) or not printed:
            raise LogContractBroken(last or f"`honour pipeline drift` ended with {code}")
        return msgspec.json.decode(printed, type=DriftReport)

    def _is_busy(self) -> bool:
        try:
            with alone(self._data_dir / "pipeline"):
                return False
        except BadInput:
            return True

    def _command(self, name: str, *more: str) -> tuple[int, str, str]:
        """Exit code, standard output, and the last line of standard error, whose lines are passed on as they come."""
        command = [sys.executable, "-m", "honour.cli", "pipeline", name, *self._arguments, *more]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self._process = process
            if self.stopped.is_set():  # The signal came before there was anything to end.
                process.terminate()
            last = ""
            assert process.stderr is not None
            assert process.stdout is not None
            for line in process.stderr:  # Standard output is one object at the end, and small enough for its pipe to hold.
                last = line.strip() or last
                self._note(line.rstrip())
            printed = process.stdout.read()
            code = process.wait()
        self._process = None
        return code, printed, last
