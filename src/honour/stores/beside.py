"""Files beside the attempts: what routes charge, and which payments came back as disputes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from honour.errors import MappingBroken
from honour.records.attempt import Attempt, Dispute
from honour.records.domain import CURRENCIES
from honour.records.event import DisputeReported
from honour.records.route import Route, RouteCost
from honour.stores.cells import text_of
from honour.stores.mapping import Mapping
from honour.stores.table import read_table, records_of


class Disputes(NamedTuple):
    """Disputes of payments that the files hold, and how many were of others."""

    events: list[DisputeReported]
    n_unmatched: int


def routes_of(attempts: Sequence[Attempt], mapping: Mapping, *, folder: Path) -> tuple[Route, ...]:
    """The routes that were taken, with the networks, currencies and forms seen on them and what they charge."""
    taken: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        taken.setdefault(attempt.route, []).append(attempt)
    costs = _costs(mapping, folder=folder, currencies=sorted({attempt.payment.currency for attempt in attempts}))
    if costs and (without := sorted(set(taken) - set(costs))):
        raise MappingBroken(
            f"{folder / (mapping.routes.fees or '')}: no fees for route {without[0]!r}, which the attempts took. Found: {', '.join(costs)}."
        )
    return tuple(
        Route(
            id=route_id,
            networks=tuple(sorted({attempt.payment.card.network for attempt in sent})),
            currencies=tuple(sorted({attempt.payment.currency for attempt in sent})),
            credentials=tuple(sorted({attempt.credential for attempt in sent})),
            authentications=tuple(sorted({attempt.authentication for attempt in sent})),
            cost=costs.get(route_id, RouteCost()),
        )
        for route_id, sent in sorted(taken.items())
    )


def disputes_of(attempts: Sequence[Attempt], mapping: Mapping, *, folder: Path) -> Disputes:
    """The disputes that the mapping describes, in the order of their file."""
    told = mapping.disputes
    if told is None:
        return Disputes([], 0)
    table = read_table(folder / told.file, delimiter=mapping.file.delimiter, encoding=mapping.file.encoding)
    wanted = {column: str(value).casefold() for column, value in told.where.items()}
    payments = {attempt.payment.payment_id for attempt in attempts}
    events: dict[str, DisputeReported] = {}
    n_unmatched = 0
    for row in records_of(table, told.payment_id, *wanted, named_in="disputes"):
        if any((text_of(row[column]) or "").casefold() != value for column, value in wanted.items()):
            continue
        payment_id = text_of(row[told.payment_id]) or ""
        if payment_id not in payments:
            n_unmatched += 1
            continue
        dispute = Dispute(dispute_id=f"{told.kind}_{payment_id}", payment_id=payment_id, kind=told.kind)
        events.setdefault(payment_id, DisputeReported(dispute=dispute))
    return Disputes(list(events.values()), n_unmatched)


def _costs(mapping: Mapping, *, folder: Path, currencies: Sequence[str]) -> dict[str, RouteCost]:
    told = mapping.routes
    if told.fees is None:
        return {}
    path, factor = folder / told.fees, 1.0
    if told.unit == "major":
        exponents = {CURRENCIES[currency] for currency in currencies}
        if len(exponents) > 1:
            raise MappingBroken(f"routes.unit: major has no one meaning for {', '.join(currencies)}; write fees in minor units.")
        factor = 10.0 ** max(exponents, default=2)
    costs: dict[str, RouteCost] = {}
    table = read_table(path, delimiter=mapping.file.delimiter, encoding=mapping.file.encoding)
    for row in records_of(table, told.route, told.approval, told.decline, named_in="routes"):
        fees = [_fee(row[column], decimal=mapping.file.decimal) for column in (told.approval, told.decline)]
        if (route_id := text_of(row[told.route])) is None or None in fees or route_id in costs:
            raise MappingBroken(f"{path}: every row needs a route of its own and fees of at least 0; found {route_id!r} with {fees}.")
        costs[route_id] = RouteCost(approval_minor=(fees[0] or 0.0) * factor, decline_minor=(fees[1] or 0.0) * factor)
    return costs


def _fee(cell: object, *, decimal: str) -> float | None:
    text = text_of(cell) or ""
    try:
        fee = float(text.replace(".", "").replace(",", ".") if decimal == "," and isinstance(cell, str) else text)
    except ValueError:
        return None
    return fee if 0.0 <= fee < float("inf") else None
