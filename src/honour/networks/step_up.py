"""Answers that ask for the cardholder's authentication: the same attempt without it is pointless, with it the door is open.

Only a shopper can authenticate: a payment that the merchant started has to go back to its customer (networks' guidance as compiled in
`tables/step_up.csv`, each row with its source).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import msgspec

from honour.errors import LogContractBroken
from honour.networks.region import EUROPE
from honour.records.payment import Payment


class StepUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A response code that asks for authentication. region: EUROPE, or empty for everywhere."""

    network: str
    code: str
    region: str
    meaning: str
    source: str
    seen_on: str
    effective_from: str
    disputed: bool


@cache
def step_ups() -> dict[tuple[str, str], StepUp]:
    """The rows that ship with Honour, by network and code."""
    text = resources.files("honour.networks").joinpath("tables", "step_up.csv").read_text(encoding="utf-8")
    try:
        rows = [msgspec.convert(row, StepUp, strict=False) for row in csv.DictReader(text.splitlines())]
    except msgspec.ValidationError as error:
        raise LogContractBroken(f"networks/tables/step_up.csv: {error}. Restore the table that ships with Honour.") from None
    return {(row.network, row.code): row for row in rows}


def asks_for_authentication(payment: Payment, response_code: str | None) -> bool:
    """Whether `response_code`, the last answer to `payment`, asks for the cardholder's authentication."""
    row = step_ups().get((payment.card.network, response_code or ""))
    return row is not None and (row.region != "EUROPE" or payment.card.issuer_country in EUROPE)
