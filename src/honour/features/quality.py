"""Data quality of past attempts: what was refused and why, and what looks odd among the rest."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from honour.records.attempt import Attempt

ROWS_SHOWN = 5
REASONS_SHOWN = 20
P_SILENT = 0.001
"""An hour without attempts is told when so few would come with less than this probability (Poisson, mean of the hour of day)."""


class Refusal(NamedTuple):
    """A row that cannot be used, by its place in its file.

    cells  what it holds, by column; None when that must not be kept, as of one with a card number, or could not be read
    """

    reason: str
    row: str
    cells: dict[str, Any] | None = None


@dataclass
class Found:
    """What reading files came across, collected while it goes on.

    n_by_mapping  refusals that another mapping would not have made
    n_repeated    rows equal to an earlier one, id included; left out
    n_identical   rows equal to an earlier one in everything but their id; kept
    n_twofold     local times that come twice when clocks go back, taken as the earlier
    columns       of each file, by name and kind of what its first rows hold: number, text, instant, truth, empty
    kept          attempts by id and whether their answer is not known
    """

    n_rows: int = 0
    n_by_mapping: int = 0
    n_repeated: int = 0
    n_identical: int = 0
    n_twofold: int = 0
    n_unmatched_disputes: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    columns: list[dict[str, str]] = field(default_factory=list)
    empty_cells: dict[str, int] = field(default_factory=dict)
    kept: dict[tuple[str, bool], Attempt] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def refuse(self, reason: str, *, row: str, cells: dict[str, Any] | None = None, by_mapping: bool = False) -> None:
        """Note a row that is left out."""
        self.refusals.append(Refusal(reason, row, cells))
        self.n_by_mapping += by_mapping

    def see(self, content: int) -> None:
        """Note the hash of a row's content without its id."""
        self.n_identical += content in self.seen
        self.seen.add(content)


class RefusedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows refused for one reason, and the first few of them."""

    reason: str
    n: int
    first_rows: tuple[str, ...]


class RouteSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of one route."""

    route: str
    n: int
    attempt_approval_rate: float


class DayVolume(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of one day in UTC."""

    day: date
    n: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """The longest time without an attempt."""

    from_at: datetime
    hours: float


class SilentHours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours without an attempt where their hour of day usually has some, and the first few of them."""

    n: int
    first_at: tuple[datetime, ...]


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import found. Rates are of accepted rows.

    refused            by reason, the most frequent first
    repeated_rows      rows equal to an earlier one, id included; only the first counts
    identical_rows     rows equal to an earlier one in everything but their id; kept, since retries within a second look so
    twofold_instants   local times that come twice when clocks go back, taken as the earlier
    days_without       days between the first and the last without an attempt
    empty_cells        share of rows whose cell is empty, by column of the file
    missing            share of attempts that do not know an optional field
    attempts_per_payment     payments by number of attempts
    attempts_after_approval  attempts of a payment that was approved already
    unmatched_disputes       disputes of payments that the files do not hold; left out
    """

    n_rows: int
    n_accepted: int
    refused: tuple[RefusedRows, ...]
    repeated_rows: int
    identical_rows: int
    twofold_instants: int
    first_at: datetime | None
    last_at: datetime | None
    longest_gap: Gap | None
    silent_hours: SilentHours
    days_without: tuple[date, ...]
    attempts_per_day: tuple[DayVolume, ...]
    n_payments: int
    attempts_per_payment: dict[str, int]
    attempts_after_approval: int
    zero_amounts: int
    n_disputes: int
    unmatched_disputes: int
    attempt_approval_rate: float | None
    payment_approval_rate: float | None
    routes: tuple[RouteSummary, ...]
    empty_cells: dict[str, float]
    missing: dict[str, float]


def quality_of(attempts: Sequence[Attempt], *, found: Found, n_disputes: int = 0) -> QualityReport:
    """Look through attempts in order of time."""
    payments: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        payments[attempt.payment.payment_id].append(attempt)
    answered = [attempt for attempt in attempts if attempt.status != "unknown"]
    routes = Counter(attempt.route for attempt in answered)
    approved = Counter(attempt.route for attempt in answered if attempt.status == "approved")
    sizes = Counter(len(sent) for sent in payments.values())
    n_approved_payments = sum(any(attempt.status == "approved" for attempt in sent) for sent in payments.values())
    per_day = Counter(attempt.attempted_at.date() for attempt in attempts)
    return QualityReport(
        n_rows=found.n_rows,
        n_accepted=len(attempts),
        refused=_refused(found.refusals),
        repeated_rows=found.n_repeated,
        identical_rows=found.n_identical,
        twofold_instants=found.n_twofold,
        first_at=attempts[0].attempted_at if attempts else None,
        last_at=attempts[-1].attempted_at if attempts else None,
        longest_gap=_longest_gap(attempts),
        silent_hours=_silent_hours(attempts),
        days_without=_days_without(per_day),
        attempts_per_day=tuple(DayVolume(day=day, n=n) for day, n in sorted(per_day.items())),
        n_payments=len(payments),
        attempts_per_payment={str(size): sizes[size] for size in sorted(sizes)},
        attempts_after_approval=sum(_after_approval(sent) for sent in payments.values()),
        zero_amounts=sum(attempt.payment.amount_minor == 0 for attempt in attempts),
        n_disputes=n_disputes,
        unmatched_disputes=found.n_unmatched_disputes,
        attempt_approval_rate=sum(approved.values()) / len(answered) if answered else None,
        payment_approval_rate=n_approved_payments / len(payments) if payments else None,
        routes=tuple(RouteSummary(route=route, n=n, attempt_approval_rate=approved[route] / n) for route, n in sorted(routes.items())),
        empty_cells={column: n / found.n_rows for column, n in found.empty_cells.items() if n},
        missing=_missing(attempts),
    )


def quality_text(report: QualityReport) -> str:
    """The report for a person to read."""
    lines = [f"{report.n_rows} rows read, {report.n_accepted} usable."]
    for refused in report.refused[:REASONS_SHOWN]:
        rows = ", ".join(refused.first_rows) + (", ..." if refused.n > len(refused.first_rows) else "")
        lines.append(f"  left out {refused.n}: {refused.reason} (rows {rows})")
    if len(report.refused) > REASONS_SHOWN:
        lines.append(f"  and {len(report.refused) - REASONS_SHOWN} further reasons; --json lists them.")
    if report.first_at is None or report.last_at is None:
        return "\n".join(lines)
    volumes = [day.n for day in report.attempts_per_day]
    lines.append(
        f"From {report.first_at:%Y-%m-%d %H:%M} to {report.last_at:%Y-%m-%d %H:%M} UTC, {min(volumes)} to {max(volumes)} attempts a day, "
        f"{len(report.days_without)} days without."
    )
    lines += _gap_lines(report)
    sizes = ", ".join(f"{n} of {size}" for size, n in report.attempts_per_payment.items())
    lines.append(f"{report.n_payments} payments by number of attempts: {sizes}.")
    if report.attempt_approval_rate is not None and report.payment_approval_rate is not None:
        lines.append(f"Approved: {report.attempt_approval_rate:.3f} of attempts, {report.payment_approval_rate:.3f} of payments.")
    lines += [f"  {route.route}: {route.n} attempts, {route.attempt_approval_rate:.3f} approved" for route in report.routes]
    if report.n_disputes or report.unmatched_disputes:
        lines.append(f"{report.n_disputes} disputes, and {report.unmatched_disputes} of payments that are not here (left out).")
    odd = {
        "repeated rows (the first is kept)": report.repeated_rows,
        "rows identical but for their id (kept)": report.identical_rows,
        "attempts after an approval": report.attempts_after_approval,
        "zero amounts": report.zero_amounts,
        "times that clocks show twice (taken as the earlier)": report.twofold_instants,
    }
    lines.append("Odd: " + (", ".join(f"{n} {what}" for what, n in odd.items() if n) or "nothing") + ".")
    if report.empty_cells:
        lines.append("Empty cells: " + ", ".join(f"{column} {share:.1%}" for column, share in report.empty_cells.items()) + ".")
    if absent := [name for name, share in report.missing.items() if share == 1.0]:
        lines.append(f"Not known for any attempt: {', '.join(absent)}.")
    return "\n".join(lines)


def _gap_lines(report: QualityReport) -> list[str]:
    lines = []
    if report.longest_gap is not None:
        gap = report.longest_gap
        lines.append(f"Longest gap {gap.hours:.1f} h from {gap.from_at:%Y-%m-%d %H:%M} UTC.")
    if report.silent_hours.n:
        hours = ", ".join(f"{at:%Y-%m-%d %H:00}" for at in report.silent_hours.first_at)
        lines.append(f"{report.silent_hours.n} hours without an attempt at a time of day that usually has some: {hours} UTC, ...")
    return lines


def _refused(refusals: Sequence[Refusal]) -> tuple[RefusedRows, ...]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for refusal in refusals:
        by_reason[refusal.reason].append(refusal.row)
    return tuple(
        RefusedRows(reason=reason, n=len(rows), first_rows=tuple(rows[:ROWS_SHOWN]))
        for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    )


def _longest_gap(attempts: Sequence[Attempt]) -> Gap | None:
    gaps = [(later.attempted_at - earlier.attempted_at, earlier.attempted_at) for earlier, later in pairwise(attempts)]
    if not gaps:
        return None
    length, from_at = max(gaps)
    return Gap(from_at=from_at, hours=length.total_seconds() / 3600)


def _silent_hours(attempts: Sequence[Attempt]) -> SilentHours:
    """Whole hours between the first and the last attempt; the mean of an hour of day is over all of its days."""
    per_hour = Counter(attempt.attempted_at.replace(minute=0, second=0, microsecond=0) for attempt in attempts)
    if not per_hour:
        return SilentHours(n=0, first_at=())
    usual: Counter[int] = Counter()
    for hour, n in per_hour.items():
        usual[hour.hour] += n
    first, last = min(per_hour), max(per_hour)
    n_days = (last - first).total_seconds() / 86_400
    telling = {hour for hour, n in usual.items() if n_days >= 1 and math.exp(-n / n_days) < P_SILENT}
    silent = [
        hour
        for at in range(int((last - first).total_seconds() // 3600))
        if (hour := first + timedelta(hours=at)).hour in telling and hour not in per_hour
    ]
    return SilentHours(n=len(silent), first_at=tuple(silent[:ROWS_SHOWN]))


def _days_without(per_day: Counter[date]) -> tuple[date, ...]:
    if not per_day:
        return ()
    whole = range(min(per_day).toordinal(), max(per_day).toordinal())
    return tuple(day for ordinal in whole if (day := date.fromordinal(ordinal)) not in per_day)


def _after_approval(sent: Sequence[Attempt]) -> int:
    statuses = [attempt.status for attempt in sent]
    return len(sent) - 1 - statuses.index("approved") if "approved" in statuses else 0


def _missing(attempts: Sequence[Attempt]) -> dict[str, float]:
    def share(known: Sequence[bool]) -> float:
        return 1.0 - sum(known) / len(known)

    if not attempts:
        return {}
    return {
        "response_code": share([attempt.response_code is not None for attempt in attempts]),
        "card.funding": share([attempt.payment.card.funding is not None for attempt in attempts]),
        "card.issuer": share([attempt.payment.card.issuer is not None for attempt in attempts]),
        "card.issuer_country": share([attempt.payment.card.issuer_country is not None for attempt in attempts]),
        "latency_ms": share([attempt.latency_ms is not None for attempt in attempts]),
    }
