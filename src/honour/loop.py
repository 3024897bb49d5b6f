"""The whole product on one page: bring attempts in, learn from them, judge, replay, serve, and learn again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import tomli_w

from honour.approval.card import Training
from honour.approval.metric import Figure
from honour.errors import BadInput, BadSettings
from honour.evaluation.replay import PolicyReport, policy_names
from honour.evaluation.replay import replay as replay_policies
from honour.features.batch import BatchReport
from honour.features.expectation import refusing
from honour.features.quality import QualityReport, quality_text
from honour.learning.served import served_rows
from honour.outcomes.windows import Windows
from honour.records.event import AttemptReported, Event, LoggedEvent, key_of
from honour.records.instant import from_us, to_us
from honour.records.route import Merchant, Route
from honour.records.settings import DataSettings, Settings
from honour.release.bundle import load_bundle, write_bundle
from honour.stores.checking import Reports, check_import, checking, expected_in, utc_now
from honour.stores.fetched import fetched, named
from honour.stores.opening import data_of, open_log
from honour.stores.port import EventLog
from honour.stores.quarantine import Quarantine
from honour.stores.tabular import read_attempts

if TYPE_CHECKING:
    from honour.features.dialect import Engine
    from honour.stores.landing import Landed
    from honour.stores.training import TrainingSet

# Training libraries are imported where they are used: `honour serve` runs without them.
Step = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class DataDir:
    """Where things are in a data folder."""

    path: Path

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "events.db"

    @property
    def settings(self) -> Path:
        """Configuration written by an import, or by hand."""
        return self.path / "honour.toml"

    @property
    def bundle(self) -> Path:
        """The live bundle."""
        return self.path / "bundle"

    @property
    def snapshots(self) -> Path:
        """Snapshots of the online state."""
        return self.path / "snapshots"

    @property
    def lake(self) -> str:
        """Answered attempts as Parquet, filled from the log."""
        return str(self.path / "lake")

    @property
    def quarantine(self) -> Path:
        """Rows that imports refused."""
        return self.path / "quarantine"

    @property
    def training(self) -> Path:
        """Training sets by their names."""
        return self.path / "training"

    @contextmanager
    def log(self, *, read_only: bool = True) -> Iterator[EventLog]:
        """The event log, closed afterwards."""
        log = open_log(data_of(self.path), read_only=read_only)
        try:
            yield log
        finally:
            log.close()


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """n_late: events older than the log's end; they would count as arriving now, so they are left out."""

    n_logged: int
    n_already_there: int
    n_late: int
    n_routes: int
    settings_written: str | None
    report_written: str | None
    quality: QualityReport
    checked: BatchReport

    @property
    def quality_text(self) -> str:
        """The quality report for a person."""
        return quality_text(self.quality)


def import_attempts(
    files: Sequence[str | Path], *, mapping: Path, data_dir: Path, since: datetime | None, until: datetime | None, dry_run: bool, step: Step
) -> ImportResult:
    """Past attempts into the log, once each; routes and fees into honour.toml, unless there is one."""
    where, expected, now = DataDir(data_dir), expected_in(data_dir), utc_now()
    with fetched(files) as paths:
        imported = read_attempts(paths, mapping, with_fees=True, step=step, refuse=refusing(expected))
    events = [pair for pair in imported.events if _within(pair[0], pair[1], since=since, until=until)]
    names = named(files)
    checked = check_import(imported, events, data_dir=data_dir, files=names, mapping=mapping.name, expected=expected, now=now)
    n_new, n_late, n_known, report, written = len(events), 0, 0, None, None
    if not dry_run:
        with where.log(read_only=False) as log:
            late = [key_of(event) for event, arrived_us in events if arrived_us < log.last_arrived_us]
            n_late = sum(key is not None and log.find(key) is None for key in late)
            kept = [pair for pair in events if pair[1] >= log.last_arrived_us]
            step("writing the log", 0, len(kept))
            n_new = log.append_many(kept)
            n_known = len(events) - n_new - n_late
        written = _write_settings(where, routes=imported.routes, merchants=imported.merchants)
        report = _write_report(where, imported.quality)
        Quarantine(where.quarantine).put(imported.refusals, files=names)
        Reports(data_dir).keep(checked)
    return ImportResult(
        n_logged=n_new,
        n_already_there=n_known,
        n_late=n_late,
        n_routes=len(imported.routes),
        settings_written=written,
        report_written=report,
        quality=imported.quality,
        checked=checked,
    )


def fill_lake(data_dir: Path, *, lake: str | None = None, to_seq: int | None = None, step: Step) -> Landed:
    """What the log has beyond the lake of its data folder, or another, day by day, held against what is expected of it."""
    from honour.stores.lake import Lake
    from honour.stores.landing import land_log

    where, place = DataDir(data_dir), Lake(lake or DataDir(data_dir).lake)
    with where.log() as log, checking(place, data_dir=data_dir, source="log") as check:
        return land_log(place, log, to_seq=to_seq, step=step, check=check)


def fill_lake_from(files: Sequence[str | Path], *, mapping: Path, data_dir: Path, lake: str | None, step: Step) -> Landed:
    """Past attempts of files and tables straight into a lake of their own, past the log; rows that are refused into quarantine."""
    from honour.stores.lake import Lake
    from honour.stores.landing import land_events

    where, place = DataDir(data_dir), Lake(lake or DataDir(data_dir).lake)
    names = named(files)
    with fetched(files) as paths:
        imported = read_attempts(paths, mapping, step=step, refuse=refusing(expected_in(data_dir)))
    Quarantine(where.quarantine).put(imported.refusals, files=names, lake=place.place)
    with checking(place, data_dir=data_dir, source="lake", files=names, mapping=mapping.name, found=imported.found) as check:
        return land_events(place, imported.events, n_refused=len(imported.refusals), step=step, check=check)


def build_features(
    data_dir: Path,
    *,
    lake: str | None = None,
    out: str | None = None,
    until: datetime | None = None,
    to_seq: int | None = None,
    features: Sequence[str] | None = None,
    engine: Engine = "duckdb",
    step: Step,
    threads: int | None = None,
) -> TrainingSet:
    """The training set of the log, or of another `lake`, as Parquet named by what it is made of; built once.

    until, to_seq  only answers that arrived before an instant, or up to an event of the log
    features       by name, with what they shrink to; absent, all
    engine         what computes it; threads: of DuckDB
    """
    from honour.stores.lake import Lake
    from honour.stores.training import build_training_set

    where = DataDir(data_dir)
    if lake is None:
        fill_lake(data_dir, to_seq=to_seq, step=step)
    until_us = to_us(until) if until is not None else None
    found = Lake(lake or where.lake)
    if engine == "spark":
        from honour.cluster.build import build_on_spark

        return build_on_spark(found, folder=str(where.training), out=out, until_us=until_us, to_seq=to_seq, features=features, step=step)
    return build_training_set(
        found,
        folder=where.training,
        out=Path(out) if out is not None else None,
        until_us=until_us,
        to_seq=to_seq,
        features=features,
        threads=threads,
        step=step,
    )


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was written, with the figures of the days it was judged on."""

    path: str
    bundle_id: str
    n_rows: int
    calibrator: str
    metrics: dict[str, Figure]
    training: Training


def train(
    data_dir: Path,
    *,
    out: Path | None,
    until: datetime | None,
    holdout_days: float,
    seed: int,
    step: Step,
    threads: int | None = None,
    kind: str = "mixed",
    settings: Mapping[str, float] | None = None,
) -> Trained:
    """Fit, calibrate and judge on the log up to `until`; write the bundle whole. All cores, unless `threads` says fewer."""
    from honour.learning.train import train as fit_and_judge

    where = DataDir(data_dir)
    with where.log() as log:
        events = [logged for logged in log.read() if until is None or logged.arrived_us < to_us(until)]
    table = build_features(data_dir, to_seq=events[-1].seq if events else 0, step=step, threads=threads).to_arrow()
    trained = fit_and_judge(
        table, kind=kind, settings=settings, seed=seed, holdout_days=holdout_days, n_threads=threads or os.cpu_count() or 1, progress=step
    )
    state = Windows()
    for logged in events:
        state.apply(logged)
    folder = out or where.bundle
    bundle_id = write_bundle(folder, trained=trained, state=state.features.to_bytes())
    card = trained.training
    return Trained(
        path=str(folder), bundle_id=bundle_id, n_rows=card.n_rows, calibrator=card.calibrator, metrics=card.metrics, training=card
    )


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """Policies side by side; `fees` holds greatest_value at each multiple of one route's fees."""

    n_attempts: int
    n_payments: int
    from_at: datetime
    to_at: datetime
    propensities: str
    policies: tuple[PolicyReport, ...]
    fees: dict[str, PolicyReport]


def replay(
    data_dir: Path,
    *,
    model: Path | None,
    policies: Sequence[str],
    fee_route: str | None,
    fee_multiples: Sequence[float],
    settings: Settings,
    step: Step,
) -> Replayed:
    """What other policies would have earned on the log's attempts after the bundle's training range."""
    from honour.release.value import replay_rows, same_form, with_fees

    bundle = load_bundle(model or DataDir(data_dir).bundle)
    routes = tuple(route for route in settings.routes if route.enabled)
    names = policy_names(routes)
    for policy in policies:
        if policy not in names:
            raise BadInput(f"no policy {policy!r}; allowed: {', '.join(names)}.")
    if fee_route is not None and fee_route not in [route.id for route in routes]:
        raise BadInput(f"--fee-route: no route {fee_route!r}; allowed: {', '.join(route.id for route in routes)}.")
    step("computing features", 0, None)
    asked = served_rows(
        all_events(data_dir),
        state=Windows(),
        after_us=bundle.manifest.training.until_us,
        candidates_of=same_form(routes),
    )
    known = {route.id for route in routes}
    rows = [row for row in asked if row.sent[0] in known]
    if not rows:
        raise BadInput("the log holds no attempt after the bundle's training range. Import later attempts, or train with `--until`.")
    step("replaying", 0, None)
    table = replay_rows(rows, routes=routes, model=bundle.model)
    terms = {row.payment.merchant_id: settings.terms_of(row.payment.merchant_id) for row in rows}
    fees: dict[str, PolicyReport] = {}
    for multiple in fee_multiples if fee_route else ():
        dearer = table._replace(routes=tuple(with_fees(route, multiple=multiple) if route.id == fee_route else route for route in routes))
        fees[f"{multiple:g}"] = replay_policies(dearer, terms=terms, policies=["greatest_value"])[0]
    return Replayed(
        n_attempts=len(rows),
        n_payments=len({row.payment.payment_id for row in rows}),
        from_at=from_us(min(row.at_us for row in rows)),
        to_at=from_us(max(row.at_us for row in rows)),
        propensities="estimated" if table.estimated else "logged",
        policies=tuple(replay_policies(table, terms=terms, policies=policies or names)),
        fees=fees,
    )


def all_events(data_dir: Path) -> list[LoggedEvent]:
    """Every event of the log of a data folder, in order."""
    with DataDir(data_dir).log() as log:
        return list(log.read())


def _within(event: Event, arrived_us: int, *, since: datetime | None, until: datetime | None) -> bool:
    at_us = to_us(event.attempt.attempted_at) if isinstance(event, AttemptReported) else arrived_us
    return (since is None or at_us >= to_us(since)) and (until is None or at_us < to_us(until))


def _write_settings(where: DataDir, *, routes: Sequence[Route], merchants: dict[str, Merchant]) -> str | None:
    if where.settings.exists() or not routes:
        return None
    settings = Settings(data=DataSettings(dir=str(where.path)), merchants=merchants, routes=tuple(routes))
    write_settings(where.settings, settings)
    return str(where.settings)


def write_settings(path: Path, settings: Settings) -> None:
    """The settings as TOML; what is not known is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(_without_none(msgspec.to_builtins(settings))), encoding="utf-8")


def _without_none(tree: object) -> dict[str, object]:
    def cut(value: object) -> object:
        if isinstance(value, dict):
            return {key: cut(inner) for key, inner in value.items() if inner is not None}
        return [cut(inner) for inner in value] if isinstance(value, list | tuple) else value

    cleaned = cut(tree)
    if not isinstance(cleaned, dict):
        raise BadSettings("settings are not a table.")
    return cleaned


def _write_report(where: DataDir, quality: QualityReport) -> str:
    folder = where.path / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"import-{len(list(folder.glob('import-*.json'))) + 1:04d}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(quality), indent=2))
    return str(path)
