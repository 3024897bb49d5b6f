"""Training sets and recomputed decisions: events to Arrow to DuckDB and back to Arrow.

`features_of` is the way in for other sources: any answers and any spine in Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.errors import BadInput, LogContractBroken
from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, read_payment
from honour.features.execute import Progress, Rows, database, features_in
from honour.features.from_log import ANSWER_COLUMNS, INSTANT_COLUMNS, ROW_COLUMNS, LogReader, table_of
from honour.features.sql import answer_columns
from honour.features.sql_value import Step
from honour.features.view import Catalogue
from honour.records.event import DecisionMade, LoggedEvent
from honour.records.route import Candidate

_DECISION_COLUMNS = {**INSTANT_COLUMNS, "decision_id": pa.string(), "candidate_at": pa.int64(), **ROW_COLUMNS}

BESIDE = (
    "payment_id",
    "at_us",
    "approved",
    "source",
    "merchant_id",
    *CANDIDATE_COLUMNS,
    "amount_minor",
    "currency",
    "status",
    "propensity",
)
"""What stands in a training set beside the features."""
_COUNTED = "CAST(status = 'approved' AS BIGINT) AS approved, CAST(status = 'failed' AS BIGINT) AS failed"

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
    return training_set_of(reader.take(), catalogue=catalogue, memory_limit=memory_limit, threads=threads)


def training_set_of(
    attempts: pa.Table, *, catalogue: Catalogue = CATALOGUE, memory_limit: str | None = None, threads: int | None = None
) -> pa.Table:
    """As `training_set`, of attempts as a lake holds them (`from_log.ATTEMPT_COLUMNS`), in the order of their answers."""
    with database(memory_limit=memory_limit, threads=threads) as connection:
        return pa.Table.from_batches(training_batches(connection, attempts, catalogue=catalogue))


def training_batches(
    connection: Any,
    attempts: Any,
    *,
    catalogue: Catalogue = CATALOGUE,
    parts: Sequence[Rows | None] = (None,),
    to_seq: int | None = None,
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a training set, batch by batch, in the order in which their answers arrived.

    attempts  Arrow table or dataset, or paths of Parquet files
    parts     ranges of `seq` that hold all attempts, ascending; to_seq: answers after it are not seen and have no row
    """
    _view_answers(connection, attempts, to_seq=to_seq)
    spine = landed_views(to_seq=to_seq)[1]
    connection.execute(f"CREATE TEMP VIEW {spine.table} AS {spine.query}")
    n_rows = 0
    for batch in features_in(connection, catalogue, parts=parts, beside=BESIDE, progress=progress):
        row_ids = pa.array(range(n_rows, n_rows + len(batch)), type=pa.int64())
        n_rows += len(batch)
        yield batch.set_column(0, "row_id", row_ids)


def landed_views(*, to_seq: int | None = None, row_id: str = "seq") -> tuple[Step, Step]:
    """The answers and the spine of a training set, from `landed`, the attempts of a lake; row_id: the column that numbers its rows."""
    upto = "" if to_seq is None else f" WHERE seq <= {to_seq}"
    context = ", ".join(ROW_COLUMNS)
    told = f"seq, arrived_us, status, response_code, latency_ms, {_COUNTED}, {context}"
    asked = f"{row_id} AS row_id, asked_seq AS seq, at_us, source, status, propensity, {_COUNTED}, {context}"
    return Step("answers", f"SELECT {told} FROM landed{upto}"), Step("spine", f"SELECT {asked} FROM landed{upto}")


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

    def read() -> Iterator[LoggedEvent]:
        for logged in log_events:
            reader.read(logged)
            yield logged

    spine = _asked(read(), candidates_of=candidates_of)
    features = features_of(reader.take(), spine=spine, catalogue=catalogue, memory_limit=memory_limit, threads=threads)
    return _beside_names(features, spine=spine, catalogue=catalogue)


def recomputed_from(
    attempts: Any,
    log_events: Iterable[LoggedEvent],
    *,
    candidates_of: CandidatesOf,
    catalogue: Catalogue = CATALOGUE,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> pa.Table:
    """As `recomputed`, for a part of the log: what was answered comes from a lake that the log filled, and does not pass through memory.

    attempts    as of `training_batches`, up to the last of these events at least
    log_events  with the decisions to recompute; those before them need not be there
    """
    spine = _asked(log_events, candidates_of=candidates_of)
    with database(memory_limit=memory_limit, threads=threads) as connection:
        _view_answers(connection, attempts)
        connection.register("spine", _with_columns(spine, INSTANT_COLUMNS | ROW_COLUMNS))
        features = pa.Table.from_batches(list(features_in(connection, catalogue)))
    return _beside_names(features, spine=spine, catalogue=catalogue)


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
    for status in ("approved", "failed"):
        folded = folded.append_column(status, pc.cast(pc.equal(folded["status"], status), pa.int64()))
    asked = _with_columns(spine, INSTANT_COLUMNS | ROW_COLUMNS)
    with database(memory_limit=memory_limit, threads=threads) as connection:
        connection.register("answers", folded)
        connection.register("spine", asked)
        return pa.Table.from_batches(list(features_in(connection, catalogue)))


def _asked(log_events: Iterable[LoggedEvent], *, candidates_of: CandidatesOf) -> pa.Table:
    """The spine of decisions: a row for each candidate."""
    rows: list[tuple[Any, ...]] = []
    for logged in log_events:
        if isinstance(logged.event, DecisionMade):
            made = logged.event
            paid = read_payment(made.payment)
            for at, candidate in enumerate(candidates_of(made)):
                rows.append((len(rows), logged.seq, made.decided_us, made.decision.decision_id, at, *paid, *candidate))
    return table_of(rows, _DECISION_COLUMNS)


def _beside_names(features: pa.Table, *, spine: pa.Table, catalogue: Catalogue) -> pa.Table:
    columns = {name: spine[name] for name in ("row_id", "decision_id", "candidate_at", "at_us")}
    return pa.table(columns | {name: features[name] for name in catalogue.names})


def _view_answers(connection: Any, attempts: Any, *, to_seq: int | None = None) -> None:
    """Views `landed`, the attempts as they are, and `answers`, what features are folded from."""
    if isinstance(attempts, list):
        connection.read_parquet(attempts, hive_partitioning=False).create_view("landed")
    else:
        connection.register("landed", attempts)
    answers = landed_views(to_seq=to_seq)[0]
    connection.execute(f"CREATE TEMP VIEW {answers.table} AS {answers.query}")


def _with_columns(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """`table` with exactly these columns; an absent one is not known anywhere."""
    present = set(table.column_names)
    return pa.table({name: table[name].cast(kind) if name in present else pa.nulls(len(table), type=kind) for name, kind in types.items()})


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
