"""Training sets and recomputed decisions: events to Arrow to DuckDB and back to Arrow.

`features_of` is the way in for other sources: any answers and any spine in Arrow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.errors import BadInput, LogContractBroken
from honour.features.answer import reason_of
from honour.features.calendar import days_since_payday, is_holiday
from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, read_payment
from honour.features.from_log import ANSWER_COLUMNS, INSTANT_COLUMNS, ROW_COLUMNS, LogReader, table_of
from honour.features.local_time import offsets_of, zone_names
from honour.features.sql import REASON_COLUMNS, answer_columns, needs_calendar, needs_reasons, steps
from honour.features.view import Catalogue
from honour.records.event import DecisionMade, LoggedEvent
from honour.records.route import Candidate

_DECISION_COLUMNS = {**INSTANT_COLUMNS, "decision_id": pa.string(), "candidate_at": pa.int64()}

CandidatesOf = Callable[[DecisionMade], Sequence[Candidate]]


def training_set(
    log_events: Iterable[LoggedEvent], *, catalogue: Catalogue = CATALOGUE, memory_limit: str | None = None, threads: int | None = None
) -> pa.Table:
    """One row per attempt with an answer, with the features that were known when it was sent.

    A decision is a row when the outcome of its chosen candidate is final, as of `decided_us`; a reported attempt as of
    `attempted_at`. `unknown` is no answer. Rows stand in the order in which their answers arrived.

    returns : row_id, payment_id, at_us, approved (0/1), source (decision | attempt), merchant_id, route, authentication,
              credential, amount_minor, currency, status, propensity (missing for attempts), then every other feature
    memory_limit, threads  of DuckDB, such as "2GB" and 2; absent, its own defaults
    """
    reader = LogReader()
    for logged in log_events:
        reader.read(logged)
    answers, spine = reader.answers(), reader.spine()
    features = features_of(answers, spine=spine, catalogue=catalogue, memory_limit=memory_limit, threads=threads)
    approved = pc.cast(pc.equal(spine["status"], "approved"), pa.int64())
    first = {"row_id": spine["row_id"], "payment_id": spine["payment_id"], "at_us": spine["at_us"], "approved": approved}
    second = ("source", "merchant_id", *CANDIDATE_COLUMNS, "amount_minor", "currency", "status", "propensity")
    columns = first | {name: spine[name] for name in second}
    return pa.table(columns | {name: features[name] for name in catalogue.names})


def decision_rows(
    log_events: Iterable[LoggedEvent], *, catalogue: Catalogue = CATALOGUE, memory_limit: str | None = None, threads: int | None = None
) -> pa.Table:
    """Every ranked candidate of every decision, with the features as of the decision, recomputed from the log.

    returns : row_id, decision_id, candidate_at (position in the ranking, from 0), at_us, then every feature
    """
    return recomputed(log_events, candidates_of=ranked_candidates, catalogue=catalogue, memory_limit=memory_limit, threads=threads)


def recomputed(
    log_events: Iterable[LoggedEvent],
    *,
    candidates_of: CandidatesOf,
    catalogue: Catalogue = CATALOGUE,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> pa.Table:
    """As `decision_rows`, for the candidates that `candidates_of` gives of each decision."""
    reader = LogReader()
    rows: list[tuple[Any, ...]] = []
    for logged in log_events:
        reader.read(logged)
        if isinstance(logged.event, DecisionMade):
            made = logged.event
            paid = read_payment(made.payment)
            for at, candidate in enumerate(candidates_of(made)):
                rows.append((len(rows), logged.seq, made.decided_us, made.decision.decision_id, at, *paid, *candidate))
    spine = table_of(rows, _DECISION_COLUMNS)
    features = features_of(reader.answers(), spine=spine, catalogue=catalogue, memory_limit=memory_limit, threads=threads)
    columns = {name: spine[name] for name in ("row_id", "decision_id", "candidate_at", "at_us")}
    return pa.table(columns | {name: features[name] for name in catalogue.names})


def ranked_candidates(made: DecisionMade) -> Sequence[Candidate]:
    """The candidates of a decision in the order of its ranking."""
    return [Candidate(ranked.route, ranked.authentication, ranked.credential) for ranked in made.decision.ranking]


def features_of(
    answers: pa.Table,
    *,
    spine: pa.Table,
    catalogue: Catalogue = CATALOGUE,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> pa.Table:
    """Features of every spine row as of its instant, from any answers.

    answers  seq (> 0, ascending), arrived_us (never decreasing), status, response_code, latency_ms, amount_minor, route and the
             columns of entities; an absent column is not known
    spine    row_id (unique), seq (sees answers with a smaller one), at_us, and columns of payment and candidate
    returns : row_id and every feature by name, ordered by row_id
    """
    _check(answers, spine)
    known = {name: ROW_COLUMNS[name] for name in answer_columns(catalogue)}
    folded = _with_columns(answers, ANSWER_COLUMNS | known)
    for status, column in (("approved", "approved"), ("failed", "failed")):
        folded = folded.append_column(column, pc.cast(pc.equal(folded["status"], status), pa.int64()))
    asked = _with_columns(spine, INSTANT_COLUMNS | ROW_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="honour-features-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": folder, "preserve_insertion_order": False}
        config |= {"memory_limit": memory_limit} if memory_limit else {}
        config |= {"threads": threads} if threads else {}
        with duckdb.connect(":memory:", config=config) as connection:
            for name, table in (("answers", folded), ("spine", asked), ("local_offset", _local_offsets(asked, folded))):
                connection.register(name, table)
            if needs_calendar(catalogue):
                connection.register("local_day", _local_days(connection))
            if needs_reasons(catalogue):
                connection.register("reasons", _reasons(connection))
            *made, last = steps(catalogue)
            for step in made:
                connection.execute(f"CREATE TEMP TABLE {step.table} AS {step.query}")
            return connection.sql(last.query).to_arrow_table()


def _with_columns(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """`table` with exactly these columns; an absent one is not known anywhere."""
    present = set(table.column_names)
    return pa.table({name: table[name].cast(kind) if name in present else pa.nulls(len(table), type=kind) for name, kind in types.items()})


def _reasons(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Why the issuer declined, for every way in which the answers say it."""
    kinds = connection.sql(f"SELECT DISTINCT {', '.join(REASON_COLUMNS)} FROM answers WHERE status = 'declined'").fetchall()
    rows = [
        (*kind, reason_of(status, network=network or "", issuer_country=issuer, merchant_country=merchant, response_code=code))
        for kind in kinds
        for status, network, issuer, merchant, code in (kind,)
    ]
    columns = zip(*rows, strict=True) if rows else [()] * (len(REASON_COLUMNS) + 1)
    return pa.table({name: pa.array(column, type=pa.string()) for name, column in zip((*REASON_COLUMNS, "reason"), columns, strict=True)})


def _local_days(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Paydays and holidays of every country and day of the spine; a local day is at most one off that of UTC."""
    asked = connection.sql("SELECT DISTINCT shopper_country, at_us // 86400000000 FROM spine").fetchall()
    days = sorted({(country, day + off) for country, day in asked for off in (-1, 0, 1)}, key=lambda one: (one[0] or "", one[1]))
    rows = [(country, day, days_since_payday(country, day), int(is_holiday(country, day))) for country, day in days]
    types = {"country": pa.string(), "day": pa.int64(), "days_since_payday": pa.int64(), "is_holiday": pa.int64()}
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})


def _local_offsets(*tables: pa.Table) -> pa.Table:
    """UTC offsets of the countries of the shoppers."""
    zones = zone_names()
    shoppers = [table["shopper_country"] for table in tables if "shopper_country" in table.column_names]
    countries = sorted({country for shopper in shoppers for country in pc.unique(shopper).to_pylist() if country in zones})
    offsets = [(country, *pair) for country in countries for pair in zip(*offsets_of(country), strict=True)]
    types = {"country": pa.string(), "from_us": pa.int64(), "offset_us": pa.int64()}
    columns = zip(*offsets, strict=True) if offsets else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})


def _check(answers: pa.Table, spine: pa.Table) -> None:
    for what, table, needed in (("answers", answers, ("seq", "arrived_us", "status")), ("spine", spine, tuple(INSTANT_COLUMNS))):
        if absent := [name for name in needed if name not in table.column_names]:
            raise BadInput(f"{what}: column {absent[0]} is absent; needed are {', '.join(needed)}", path=f"$.{what}")
    for name, holds, rule in (("seq", pc.less, "ascend"), ("arrived_us", pc.less_equal, "never decrease")):
        values = answers[name].combine_chunks()
        ordered = holds(values[:-1], values[1:]) if len(values) > 1 else pa.array([True])
        if pc.all(ordered).as_py() is not True:
            at = ordered.to_pylist().index(False)
            raise LogContractBroken(
                f"answers.{name}[{at + 1}] is {values[at + 1]} after {values[at]}; it must {rule}. "
                "Give answers in the order in which they were learned."
            )
