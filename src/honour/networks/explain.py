"""What an answer means and what follows from it, in words: for people who read reports, and for `honour explain-code`."""

from __future__ import annotations

from datetime import date

import msgspec

from honour.networks.codes import Change, CodeRow, DeclineReason, Kind, Retryability, Signal, read_answer, retryability_of
from honour.networks.region import Countries
from honour.networks.rules import AttemptFee, attempt_fees, brazil_codes

_CHANGES: dict[Change, str] = {
    "": "something has changed",
    "amount": "the amount has changed",
    "authentication": "the cardholder has been authenticated (3-D Secure)",
    "card": "the card's data have been renewed (account updater, network token) or another card is given",
    "function": "debit and credit have been exchanged",
    "reconciliation": "it is known what became of the first one: never send it again blindly",
    "request": "the message has been corrected",
    "route": "another route is taken",
    "shopper": "the shopper has done something at the issuer or typed again",
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One row, and where it comes from; an empty date is not known."""

    network: str
    signal: Signal
    code: str
    region: str
    meaning: str
    strict: str
    lenient: str
    source: str
    seen_on: str
    effective_from: str
    effective_until: str
    disputed: bool


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """A reason that Brazil's standard gives for the code, and its type."""

    reason: str
    kind: str
    source: str


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """What the network charges for one attempt, minor units of `currency`; `after` and `crossing` as in `rules.AttemptFee`.

    regions  where it is charged so; "" is everywhere
    """

    after: str
    crossing: str
    meaning: str
    amount_minor: float
    currency: str
    regions: tuple[str, ...]


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """An answer explained. `strict` and `lenient` are what may be done by the two readings; they differ only for disputed rows.

    decline_category  Visa's, 1 to 4; empty for other networks and where no row says
    fees              for attempts against the network's rules, on the day that was asked about
    """

    network: str
    known: bool
    meaning: str
    decline_reason: DeclineReason
    decline_category: str
    strict_kind: Kind
    strict: str
    lenient: str
    rows: tuple[Said, ...]
    brazil: tuple[Typed, ...]
    fees: tuple[Charged, ...]


def explain(
    network: str,
    *,
    response_code: str | None,
    merchant_advice_code: str | None,
    countries: Countries = (None, None),
    on: date | None = None,
) -> Explained:
    """What an answer of this network means.

    countries  of issuer and merchant: some rows hold in a region only
    on         day of the fees; None leaves them out

    >>> explain("visa", response_code="41", merchant_advice_code=None).strict
    'never with this card at this merchant'
    """
    advice, code = read_answer(network, countries=countries, response_code=response_code, merchant_advice_code=merchant_advice_code)
    rows = (*advice, *code)
    strict, lenient = retryability_of(rows, reading="strict"), retryability_of(rows, reading="lenient")
    reason: DeclineReason = next((row.decline_reason for row in code if row.decline_reason), "unknown")
    brazil = [row for row in brazil_codes() if "BR" in countries and (row.network, row.code) == (network, response_code)]
    return Explained(
        network=network,
        known=bool(rows),
        meaning="; ".join(dict.fromkeys(row.meaning for row in rows)) or "no table knows this code",
        decline_reason=reason,
        decline_category=next((row.decline_category for row in code if row.decline_category), ""),
        strict_kind=strict.kind,
        strict=in_words(strict),
        lenient=in_words(lenient),
        rows=tuple(_said(row) for row in rows),
        brazil=tuple(Typed(reason=row.reason, kind=row.kind, source=row.source) for row in brazil),
        fees=_fees(network, on=on.isoformat()) if on is not None else (),
    )


def in_words(said: Retryability) -> str:
    """What may be done, as a merchant understands it.

    >>> in_words(Retryability("not_before", wait_s=259_200))
    'this payment again not before 3 days have passed'
    """
    wait = f", not before {_duration(said.wait_s)} passed" if said.wait_s else ""
    match said.kind:
        case "never":
            return (
                "never with this card at this merchant" if said.scope == "card" else "never for this payment; another payment may be tried"
            )
        case "not_before":
            return f"this payment again not before {_duration(said.wait_s)} passed"
        case "after_change":
            return f"again once {_CHANGES[said.change]}{wait}"
        case "free":
            return "again within the network's limits; the same route, authentication and credential not within a day"
        case "unknown":
            return "treated as a plain refusal: it counts towards every limit, and the same candidate is held back for a day"


def _fees(network: str, *, on: str) -> tuple[Charged, ...]:
    """Fees of a day, regions that are charged alike together."""
    alike: dict[tuple[str, str, str, float, str], list[AttemptFee]] = {}
    for fee in attempt_fees():
        if fee.network == network and fee.effective_from <= on and not (fee.effective_until and fee.effective_until <= on):
            alike.setdefault((fee.after, fee.crossing, fee.meaning, fee.amount_minor, fee.currency), []).append(fee)
    return tuple(
        Charged(
            after=after,
            crossing=crossing,
            meaning=meaning,
            amount_minor=amount_minor,
            currency=currency,
            regions=tuple(fee.region for fee in fees),
        )
        for (after, crossing, meaning, amount_minor, currency), fees in alike.items()
    )


def _said(row: CodeRow) -> Said:
    return Said(
        network=row.network,
        signal=row.signal,
        code=row.code,
        region=row.region,
        meaning=row.meaning,
        strict=in_words(row.says("strict")),
        lenient=in_words(row.says("lenient")),
        source=row.source,
        seen_on=row.seen_on,
        effective_from=row.effective_from,
        effective_until=row.effective_until,
        disputed=row.disputed,
    )


def _duration(seconds: int) -> str:
    n, unit = (seconds // 86_400, "day") if seconds % 86_400 == 0 else (seconds // 3_600, "hour")
    return f"{n} {unit} has" if n == 1 else f"{n} {unit}s have"
