"""One run of the pipeline: stages in order, gates between them, resumed where it was cut off, and done once for the same inputs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from honour import __version__
from honour.errors import BundleRefused
from honour.features.catalogue import SCHEMA_ID
from honour.loop import DataDir, Step
from honour.outcomes.uncollected import uncollected
from honour.pipeline.folder import Inputs, RunFolder, alone
from honour.pipeline.result import Ran, Result
from honour.pipeline.stages import STAGES, RegisterDone, TrainDone
from honour.pipeline.work import BUNDLE, Work
from honour.records.event import LoggedEvent
from honour.records.settings import Settings
from honour.release.bundle import Bundle, load_bundle
from honour.release.gate import GateResult, first_failed

RESULT = "result.json"


def run_pipeline(
    data_dir: Path, *, settings: Settings, seed: int, threads: int, as_of_us: int | None, step: Step, to_seq: int | None = None
) -> Ran:
    """From the log of `data_dir` to a registered challenger, or to the gate that stopped it.

    The run is named by its inputs. One that ended is not done again, unless a gate stopped it against a champion that has changed
    since; one that was cut off goes on after its last whole stage.

    as_of_us  instant as of which the age of the data counts; None is now
    to_seq    position in the log up to which events count; None is its end
    """
    root = data_dir / "pipeline"
    with alone(root), uncollected():
        step("reading the log", 0, None)
        with DataDir(data_dir).log() as log:
            events = [logged for logged in log.read() if to_seq is None or logged.seq <= to_seq]
        champion, refused = _champion(data_dir)
        against = champion.bundle_id if champion is not None else None
        inputs = _inputs(events, settings=settings, seed=seed, as_of_us=as_of_us, against=against)
        folder = RunFolder(root, run_id=inputs.run_id)
        known = folder.read(RESULT, kind=Result)
        if known is not None and (known.status == "registered" or known.against == inputs.against):
            folder.log(event="nothing to do", status=known.status)
            return Ran(result=known, was_there=True)
        goes_on = folder.begin(inputs)
        folder.log(event="run", goes_on=goes_on, n_events=len(events), against=inputs.against, champion_refused=refused)
        work = Work(
            folder,
            data_dir=data_dir,
            settings=settings,
            events=events,
            champion=champion,
            seed=seed,
            threads=threads,
            now_us=time.time_ns() // 1_000 if as_of_us is None else as_of_us,
            step=step,
        )
        result = _stages(work, against=inputs.against)
        folder.write(RESULT, result)
        folder.log(event="ended", status=result.status, exit_code=result.exit_code, seconds=round(sum(result.seconds.values()), 3))
        return Ran(result=result, was_there=False)


def _stages(work: Work, *, against: str | None) -> Result:
    folder, seconds = work.folder, dict[str, float]()
    gates: tuple[GateResult, ...] = ()
    left: dict[str, msgspec.Struct] = {}
    for stage in STAGES:
        done = folder.read(f"{stage.name}.json", kind=stage.leaves)
        if done is None:
            started = time.perf_counter()
            done = stage.do(work)
            seconds[stage.name] = round(time.perf_counter() - started, 3)
            folder.write(f"{stage.name}.json", done)
            folder.log(event="stage", stage=stage.name, seconds=seconds[stage.name])
        else:
            folder.log(event="stage taken from before", stage=stage.name)
        left[stage.name] = done
        gates += _log_gates(folder, getattr(done, "gates", ()))
        if (failed := first_failed(gates)) is not None:
            return Result(run=folder.run_id, status="stopped", exit_code=failed.exit_code, gates=gates, seconds=seconds, against=against)
    trained, registered = left["train"], left["register"]
    assert isinstance(trained, TrainDone)
    assert isinstance(registered, RegisterDone)
    return Result(
        run=folder.run_id,
        status="registered",
        exit_code=0,
        gates=gates,
        seconds=seconds,
        against=against,
        bundle_id=trained.bundle_id,
        bundle=str(folder.path / BUNDLE),
        version=registered.version,
    )


def _log_gates(folder: RunFolder, gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    for gate in gates:
        folder.log(event="gate", gate=gate.name, passed=gate.passed, figure=gate.figure, limit=gate.limit, found=gate.found)
    return tuple(gates)


def _champion(data_dir: Path) -> tuple[Bundle | None, str | None]:
    """The live bundle, or None and why it cannot be compared with: after an upgrade of the features only a new model can serve."""
    folder = DataDir(data_dir).bundle
    if not folder.exists():
        return None, None
    try:
        return load_bundle(folder), None
    except BundleRefused as error:
        return None, error.message


def _inputs(events: Sequence[LoggedEvent], *, settings: Settings, seed: int, as_of_us: int | None, against: str | None) -> Inputs:
    digest, encoder = hashlib.sha256(), msgspec.json.Encoder(order="deterministic")
    for logged in events:
        digest.update(encoder.encode(logged))
    shaping = (
        settings.train,
        settings.quality,
        settings.gates,
        settings.routes,
        settings.merchants,
        settings.policy.fallback_order,
        settings.registry,
    )
    return Inputs(
        log=f"sha256:{digest.hexdigest()}",
        n_events=len(events),
        schema=SCHEMA_ID,
        honour=__version__,
        settings=f"sha256:{hashlib.sha256(encoder.encode(shaping)).hexdigest()}",
        seed=seed,
        as_of_us=as_of_us,
        against=against,
    )
