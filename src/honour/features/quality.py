"""Data quality of past attempts: what was refused and why, and what looks odd among the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec

from honour.records.attempt import Attempt

ROWS_SHOWN = 5


class Refusal(NamedTuple):
    """A row that cannot be used; rows count from 1, the header not counted."""

    reason: str
    row: int


class RefusedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows refused for one reason, and the first few of them."""

    reason: str
    n: int
    first_rows: tuple[int, ...]


class RouteSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of one route."""

    route: str
    n: int
    attempt_approval_rate: float


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """The longest time without an attempt."""

    from_at: datetime
    hours: float


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import found.

    identical_rows     rows equal to an earlier one in everything but their id; kept, since retries within a second look so
    repeated_ids       attempts whose id came before; only the first is kept in the log
    days_without       days between the first and the last without an attempt
    missing            share of attempts that do not know an optional field
    attempts_after_approval  attempts of a payment that was approved already
    zero_amounts       attempts of amount 0
    """

    n_rows: int
    n_accepted: int
    refused: tuple[RefusedRows, ...]
    identical_rows: int
    repeated_ids: int
    first_at: datetime | None
    last_at: datetime | None
    longest_gap: Gap | None
    days_without: tuple[date, ...]
    attempts_per_day_min: int
    attempts_per_day_max: int
    n_payments: int
    attempts_per_payment: dict[str, int]
    attempts_after_approval: int
    zero_amounts: int
    attempt_approval_rate: float | None
    payment_approval_rate: float | None
    routes: tuple[RouteSummary, ...]
    missing: dict[str, float]


def quality_of(attempts: Sequence[Attempt], *, refusals: Sequence[Refusal], identical_rows: int) -> QualityReport:
    """Look through attempts in order of time."""
    per_day = Counter(attempt.attempted_at.date() for attempt in attempts)
    payments: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        payments[attempt.payment.payment_id].append(attempt)
    routes = Counter(attempt.route for attempt in attempts)
    approved = Counter(attempt.route for attempt in attempts if attempt.status == "approved")
    days = sorted(per_day)
    sizes = Counter(len(sent) for sent in payments.values())
    return QualityReport(
        n_rows=len(attempts) + len(refusals),
        n_accepted=len(attempts),
        refused=_refused(refusals),
        identical_rows=identical_rows,
        repeated_ids=len(attempts) - len({attempt.attempt_id for attempt in attempts}),
        first_at=attempts[0].attempted_at if attempts else None,
        last_at=attempts[-1].attempted_at if attempts else None,
        longest_gap=_longest_gap(attempts),
        days_without=tuple(date.fromordinal(day) for day in range(days[0].toordinal(), days[-1].toordinal()) if date.fromordinal(day) not in per_day)
        if days
        else (),
        attempts_per_day_min=min(per_day.values(), default=0),
        attempts_per_day_max=max(per_day.values(), default=0),
        n_payments=len(payments),
        attempts_per_payment={str(size): sizes[size] for size in sorted(sizes)},
        attempts_after_approval=sum(_after_approval(sent) for sent in payments.values()),
        zero_amounts=sum(attempt.payment.amount_minor == 0 for attempt in attempts),
        attempt_approval_rate=sum(approved.values()) / len(attempts) if attempts else None,
        payment_approval_rate=sum(any(a.status == "approved" for a in sent) for sent in payments.values()) / len(payments) if payments else None,
        routes=tuple(
            RouteSummary(route=route, n=n, attempt_approval_rate=approved[route] / n) for route, n in sorted(routes.items())
        ),
        missing=_missing(attempts),
    )


def quality_text(report: QualityReport) -> str:
    """The report for a person to read."""
    lines = [f"{report.n_rows} rows read, {report.n_accepted} usable."]
    for refused in report.refused:
        rows = ", ".join(map(str, refused.first_rows)) + (", ..." if refused.n > len(refused.first_rows) else "")
        lines.append(f"  left out {refused.n}: {refused.reason} (rows {rows})")
    if report.first_at is None or report.last_at is None:
        return "\n".join(lines)
    lines.append(f"From {report.first_at:%Y-%m-%d %H:%M} to {report.last_at:%Y-%m-%d %H:%M} UTC, {report.attempts_per_day_min} to {report.attempts_per_day_max} attempts a day.")
    if report.longest_gap is not None:
        gap = report.longest_gap
        lines.append(f"Longest gap {gap.hours:.1f} h from {gap.from_at:%Y-%m-%d %H:%M} UTC; {len(report.days_without)} days without an attempt.")
    sizes = ", ".join(f"{n} of {size}" for size, n in report.attempts_per_payment.items())
    lines.append(f"{report.n_payments} payments by number of attempts: {sizes}.")
    lines.append(f"Approved: {report.attempt_approval_rate:.3f} of attempts, {report.payment_approval_rate:.3f} of payments.")
    lines += [f"  {route.route}: {route.n} attempts, {route.attempt_approval_rate:.3f} approved" for route in report.routes]
    odd = {
        "identical rows (kept)": report.identical_rows,
        "repeated ids (the first is kept)": report.repeated_ids,
        "attempts after an approval": report.attempts_after_approval,
        "zero amounts": report.zero_amounts,
    }
    lines.append("Odd: " + ", ".join(f"{n} {what}" for what, n in odd.items()) + ".")
    if absent := [name for name, share in report.missing.items() if share == 1.0]:
        lines.append(f"Not known for any attempt: {', '.join(absent)}.")
    return "\n".join(lines)


def _refused(refusals: Sequence[Refusal]) -> tuple[RefusedRows, ...]:
    by_reason: dict[str, list[int]] = defaultdict(list)
    for refusal in refusals:
        by_reason[refusal.reason].append(refusal.row)
    return tuple(
        RefusedRows(reason=reason, n=len(rows), first_rows=tuple(sorted(rows)[:ROWS_SHOWN]))
        for reason, rows in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    )


def _longest_gap(attempts: Sequence[Attempt]) -> Gap | None:
    gaps = [(later.attempted_at - earlier.attempted_at, earlier.attempted_at) for earlier, later in pairwise(attempts)]
    if not gaps:
        return None
    length, from_at = max(gaps)
    return Gap(from_at=from_at, hours=length.total_seconds() / 3600)


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
