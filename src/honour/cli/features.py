"""Commands about features: what they are, what they were, and whether what was served is what the log gives."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from honour.cli import show
from honour.errors import BadInput
from honour.features.catalogue import CATALOGUE, LIBRARY
from honour.features.describe import Description, describe, feature_of, span
from honour.features.dialect import DIALECTS, Engine

if TYPE_CHECKING:
    from honour.features.parity import Parity

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder.")
BUNDLE = typer.Option(None, "--bundle", help="Bundle whose importances are shown. Default: bundle in the data folder, if it is there.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Point-in-time features: list and describe them, show their SQL, build a training set, verify what was served.",
)


@app.command("list")
def list_(
    data: Path = DATA,
    bundle: Path | None = BUNDLE,
    everything: bool = typer.Option(
        False, "--all", help="Those on the shelf too, which no decision computes until a file takes them down."
    ),
    json: bool = JSON,
) -> None:
    """Every feature: what it is about, over what window, who answers for it, and how much it moves the live model."""
    importances = _importances(data, bundle)
    told = [describe(feature) for feature in (LIBRARY if everything else CATALOGUE).features]
    if json:
        show.as_json({"schema": CATALOGUE.schema_id, "features": [_as_dict(one, importances) for one in told]})
        return
    live = set(CATALOGUE.names)
    columns = ["feature", "type", "entity", "window", "owner", "since", *(["live"] if everything else [])]
    columns += ["importance"] if importances else []
    rows = [
        [one.name, one.type, " x ".join(one.entity), span(one.window_s), one.owner, one.since]
        + ([("yes" if one.name in live else "shelf")] if everything else [])
        + ([f"{importances[one.name]:.5f}" if one.name in importances else ""] if importances else [])
        for one in told
    ]
    show.table(f"{len(told)} features, catalogue {CATALOGUE.schema_id[:19]}", columns, rows)
    show.out("honour features describe NAME says what one is; honour features sql NAME shows how it is computed.")


@app.command("describe")
def describe_(
    name: str = typer.Argument(..., metavar="NAME", help="Feature."),
    data: Path = DATA,
    bundle: Path | None = BUNDLE,
    json: bool = JSON,
) -> None:
    """What one feature is: entity, events, aggregation, window, type, when it is not known, owner, and importance in the live model."""
    one = describe(feature_of(LIBRARY, name))
    importances = _importances(data, bundle)
    if json:
        show.as_json(_as_dict(one, importances))
        return
    moved = span(one.window_s) and f"{span(one.window_s)}, moved on by {span(one.tile_s)}"
    importance = (
        f"{importances[name]:.5f}: p changes by so much, on average, when it is exchanged between sample rows"
        if name in importances
        else ""
    )
    lines = [
        ("", one.about),
        ("level", one.level),
        ("entity", " x ".join(one.entity)),
        ("event", one.event),
        ("aggregation", one.aggregation),
        ("window", moved),
        ("type", one.type),
        ("missing", one.missing),
        ("owner", one.owner),
        ("since", one.since),
        ("live", "yes" if name in CATALOGUE.names else "no: on the shelf, until a file of features.files takes it down"),
        ("importance", importance),
    ]
    show.out(name)
    for label, text in lines:
        if text:
            show.out(f"  {label:<12} {text}")


@app.command("sql")
def sql(
    name: str | None = typer.Argument(None, metavar="NAME", help="Feature; absent, all of them."),
    dialect: Engine = typer.Option("duckdb", "--dialect", help="Whose SQL: duckdb or spark."),
    data: Path = DATA,
    json: bool = JSON,
) -> None:
    """The SQL that computes a feature as of each row's instant, with what it shrinks to and nothing else; read and edit it."""
    from honour.features.sql import feature_sql, sql_of

    del data  # Its honour.toml was read when the process started: it names the installation's own features.
    whose = DIALECTS[dialect]
    text = sql_of(dialect=whose) if name is None else feature_sql(feature_of(LIBRARY, name).name, catalogue=LIBRARY, dialect=whose)
    if json:
        show.as_json({"schema": CATALOGUE.schema_id, "feature": name, "sql": text})
    else:
        show.out(text)


@app.command("build")
def features_build(
    data: Path = DATA,
    lake: str | None = typer.Option(
        None, "--lake", metavar="PLACE", help="Lake to build from. Default: that of the data folder, filled from its log first."
    ),
    feature: list[str] | None = typer.Option(
        None, "--feature", help="Only this feature, with what it shrinks to; may be given again. Default: all."
    ),
    until: datetime | None = typer.Option(None, "--until", help="Only answers that arrived before this instant (UTC)."),
    out: str | None = typer.Option(
        None, "--out", help="Parquet file to write. Default: training/<name>.parquet in the data folder, named by what it is made of."
    ),
    engine: Engine = typer.Option(
        "duckdb",
        "--engine",
        help="What computes it: duckdb, or spark, which writes a folder and takes s3:// for --out too.",
    ),
    json: bool = JSON,
) -> None:
    """Write a training set in which every row sees only what had arrived when its attempt was sent.

    The same attempts, catalogue and versions make the same name and the same bytes; what is there already is not built again.
    Spark makes the same rows, each number the same to 1e-9.
    """
    from honour import loop  # Training libraries; serving does without them.

    with show.progress() as step:
        upto = until.replace(tzinfo=UTC) if until is not None and until.tzinfo is None else until
        built = loop.build_features(data, lake=lake, out=out, until=upto, features=feature, engine=engine, step=step)
    if json:
        show.as_json(built)
    else:
        was = ", was there already" if built.was_there else ""
        show.out(f"{built.n_rows} rows, {built.n_features} features, content {built.content_hash}{was}: {built.path}")


@app.command("verify")
def features_verify(
    data: Path = DATA,
    hours: float | None = typer.Option(None, "--hours", min=0.0, help="Only decisions of the last so many hours. Default: all."),
    share: float = typer.Option(1.0, "--share", min=0.0, max=1.0, help="Share of decisions to compare, by a hash of their ids."),
    metrics: Path | None = typer.Option(None, "--metrics", metavar="FILE", help="Write the result for Prometheus, as a text file."),
    every_s: float | None = typer.Option(
        None, "--every-s", min=1.0, help="Compare again after so many seconds, at the lowest priority, until Ctrl-C; with --metrics."
    ),
    json: bool = JSON,
) -> None:
    """Compare the features that decisions were served with those the log recomputes. Exits with 1 on any difference.

    Answers come from the lake of the data folder, filled from the log first. As a metric of a running installation:
    honour features verify --hours 1 --share 0.05 --metrics parity.prom --every-s 900
    """
    from honour.pipeline.parity import verify, write_metrics  # Training libraries; serving does without them.

    if every_s is not None and metrics is None:
        raise BadInput("--every-s compares for a metric: say with --metrics which file to write.")
    if every_s is not None:
        os.nice(19)
    while True:
        with show.progress() as step:
            report = verify(data, hours=hours, share=share, threads=1 if every_s is not None else None, step=step)
        if metrics is not None:
            write_metrics(report, metrics)
        _show_parity(report, json=json)
        if every_s is None:
            break
        time.sleep(every_s)
    if not report.agrees:
        raise typer.Exit(1)


def _show_parity(report: Parity, *, json: bool) -> None:
    if json:
        show.as_json(report)
        return
    rows = [[row.feature, str(row.n), str(row.mismatch), str(row.missing), str(row.extra)] for row in report.features]
    show.table("Served against recomputed", ["feature", "compared", "mismatch", "missing", "extra"], rows)
    skipped = f", {report.skipped} without features or of another catalogue left out" if report.skipped else ""
    found = "THEY DIFFER" if not report.agrees else "they agree" if report.decisions else "nothing was compared"
    show.out(f"{report.decisions} decisions, {report.candidates} candidates{skipped}: {found}.")


@app.command("backfill")
def features_backfill(data: Path = DATA, json: bool = JSON) -> None:
    """Fill the shared state (data.state) from the log before a server starts; begins where the state stands, and may be repeated."""
    from honour.cli.settings import load_settings
    from honour.serving.server import log_to_stderr
    from honour.serving.shared_state import backfill

    log_to_stderr()
    with show.progress() as step:
        filled = backfill(load_settings(data / "honour.toml").data, step=step)
    if json:
        show.as_json(filled)
    else:
        show.out(f"{filled.n_answers} answers folded; the shared state stands at event {filled.stands_at}.")


def _importances(data: Path, bundle: Path | None) -> dict[str, float]:
    """By feature; empty when there is no bundle."""
    folder = bundle or data / "bundle"
    if bundle is None and not folder.exists():
        return {}
    from honour.release.importance import importance_of

    return importance_of(folder)


def _as_dict(one: Description, importances: dict[str, float]) -> dict[str, object]:
    return {**msgspec.to_builtins(one), "importance": importances.get(one.name)}
