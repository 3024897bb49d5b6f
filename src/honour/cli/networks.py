"""Commands about the rules of the card networks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import typer

from honour.cli import show
from honour.errors import BadInput
from honour.networks.explain import Explained, explain
from honour.records.domain import COUNTRIES
from honour.records.payment import Network


def explain_code(
    code: str = typer.Argument(..., help="Response code, ISO 8583 field 39, such as 51."),
    network: str = typer.Option(..., "--network", help="Card network, such as visa or mastercard."),
    advice: str | None = typer.Option(None, "--advice", help="Merchant advice code that came with it (Mastercard)."),
    country: str | None = typer.Option(None, "--country", help="The issuer's country: some rows hold in a region only."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """What a response code means, whether and when it may be tried again, what breaking a rule costs, and which documents say so.

    Where documents contradict each other both readings are shown; the merchant's disputed_rules chooses. Exits with 1 for a code
    that no table knows.
    """
    if network not in get_args(Network):
        raise BadInput(f"no network {network!r}; allowed: {', '.join(get_args(Network))}.", path="--network")
    if country is not None and country not in COUNTRIES:
        raise BadInput(f"{country!r} is no ISO 3166-1 alpha-2 country. Give two letters, such as BR.", path="--country")
    explained = explain(
        network, response_code=code, merchant_advice_code=advice, countries=(country, country), on=datetime.now(tz=UTC).date()
    )
    if json:
        show.as_json(explained)
    else:
        _tell(explained, code=code, advice=advice)
    if not explained.known:
        raise typer.Exit(1)


def _tell(explained: Explained, *, code: str, advice: str | None) -> None:
    show.out(f"{explained.network} {code}{f' with advice {advice}' if advice else ''}: {explained.meaning}")
    show.out(f"  decline reason    {explained.decline_reason}")
    if explained.decline_category:
        show.out(f"  decline category  {explained.decline_category} (Visa)")
    show.out(f"  may be tried      {explained.strict}")
    if explained.lenient != explained.strict:
        show.out(f"  lenient reading   {explained.lenient}")
    for typed in explained.brazil:
        show.out(f"  in Brazil         {typed.kind}: {typed.reason} ({typed.source})")
    for fee in explained.fees:
        crossing = f", {fee.crossing.replace('_', ' ')}" if fee.crossing else ""
        where = f" ({', '.join(fee.regions)})" if any(fee.regions) else ""
        show.out(f"  network charges   {fee.amount_minor:g} {fee.currency} minor units{crossing}: {fee.meaning}{where}")
    for row in explained.rows:
        where = f" in {row.region}" if row.region else ""
        since = f", in force from {row.effective_from}" if row.effective_from else ""
        until = f" until {row.effective_until}" if row.effective_until else ""
        show.out(f"\n{row.code}{where} ({row.network or 'every network'}): {row.meaning}. {'Documents disagree. ' if row.disputed else ''}")
        show.out(f"  source: {row.source}{since}{until}{f', seen on {row.seen_on}' if row.seen_on else ''}")
