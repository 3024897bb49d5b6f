"""The tables: every row states meaning and source, and says what the documents list, written down here a second time."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from honour import networks
from honour.networks.codes import CodeRow, Kind, code_rows, read_answer, retryability_of
from honour.networks.exemption import limits as exemption_limits
from honour.networks.explain import explain
from honour.networks.rules import attempt_fees, brazil_codes, eci_rows, retry_limits
from honour.networks.step_up import step_ups
from honour.networks.table import tables_id
from honour.records.payment import Network

LIMITS = [limit for limits in retry_limits().values() for limit in limits]
EVERY_ROW = [*code_rows(), *LIMITS, *attempt_fees(), *brazil_codes(), *eci_rows(), *step_ups().values(), *exemption_limits()]
TABLES = Path(networks.__file__).parent / "tables"


def rows_of(network: str, signal: str = "response_code", *, region: str = "") -> dict[str, CodeRow]:
    return {row.code: row for row in code_rows() if (row.network, row.signal, row.region, row.with_code) == (network, signal, region, "")}


def test_every_row_names_a_network_a_source_and_dates_that_can_be() -> None:
    assert len(EVERY_ROW) == sum(len(list(csv.DictReader(table.open(encoding="utf-8")))) for table in TABLES.glob("*.csv"))
    for row in EVERY_ROW:
        assert getattr(row, "network", "") in (*get_args(Network), "")
        assert len(row.source) > 10
        for day in (row.seen_on, row.effective_from, getattr(row, "effective_until", "")):
            assert day == "" or date.fromisoformat(day).year >= 2019


def test_every_row_means_and_cites_what_it_did(golden: Callable[[str, str], None]) -> None:
    lines = [
        f"{row.key}: {row.meaning} [{row.decline_reason or 'advice'}, category {row.decline_category or 'not said'}] "
        f"strict: {' '.join(map(str, row.says('strict')))} lenient: {' '.join(map(str, row.says('lenient')))}; {row.source}"
        for row in code_rows()
    ]
    lines += [f"{limit.rule}: {limit.attempts_max} in {limit.window_s} s by {limit.readings}; {limit.source}" for limit in LIMITS]
    lines += [
        f"fee {fee.network} {fee.region} {fee.crossing} after {fee.after} from {fee.effective_from or 'unknown'}: "
        f"{fee.amount_minor:g} {fee.currency} minor; {fee.meaning}; {fee.source}"
        for fee in attempt_fees()
    ]
    lines += [f"brazil {row.network} {row.code}: {row.reason}, {row.kind}; {row.source}" for row in brazil_codes()]
    lines += [
        f"eci {row.network} {row.eci}: {row.meaning}, {row.authentication_result or 'not said'}, shift {row.liability_shift}; {row.source}"
        for row in eci_rows()
    ]
    lines += [f"step up {row.network} {row.region} {row.code}: {row.meaning}; {row.source}" for row in step_ups().values()]
    lines += [
        f"{row.authentication} {row.currency}: up to {row.amount_minor_max} minor where the acquirer's fraud is at most "
        f"{'anything' if row.fraud_bps_max is None else f'{row.fraud_bps_max:g} bps'}; {row.source}"
        for row in exemption_limits()
    ]
    assert len(lines) == len(EVERY_ROW)
    golden("network_tables.txt", "\n".join(lines) + "\n")


def test_where_documents_disagree_the_merchants_reading_decides_or_nothing_hangs_on_it() -> None:
    """Codes whose readings agree are disputed in their category, region or edition only: in both a person has to change something."""
    for row in code_rows():
        if row.disputed and row.says("strict") == row.says("lenient"):
            assert (row.says("strict").kind, row.wait_s) == ("after_change", 0), row.key
        if not row.disputed:
            assert row.says("strict") == row.says("lenient"), row.key


@pytest.mark.parametrize(
    ("category", "codes"),
    [
        ("1", "04 07 12 14 15 41 43 46 57 R0 R1 R3"),
        ("2", "03 19 39 51 52 53 59 61 62 65 75 78 83 86 91 93 96 5C 9G N3 N4 Z5"),
        ("3", "54 55 82 6P N7"),
        ("4", "01 02 05 06 13 21 25 28 30 58 63 64 70 1A 74 76 79 80 81 89 92 94 B1 B2 N0 N5 N8 P5 P6 Q1 R2 Z3"),
    ],
)
def test_visa_files_codes_in_four_categories(category: str, codes: str) -> None:
    assert {code for code, row in rows_of("visa").items() if row.decline_category == category} == set(codes.split())


def test_visa_never_approves_after_category_one_whatever_the_reading() -> None:
    for code, row in rows_of("visa").items():
        if row.decline_category == "1":
            assert row.says("strict").kind == row.says("lenient").kind == "never", code


def test_authentication_codes_are_data_quality_in_europe_only() -> None:
    europe = rows_of("visa", region="EUROPE")
    assert {code: row.decline_category for code, row in europe.items()} == {"70": "3", "1A": "3"}
    assert all(row.disputed for row in europe.values())


def test_elo_has_an_irreversible_list_and_one_that_may_be_retried() -> None:
    rows = rows_of("elo")
    never = {code for code, row in rows.items() if row.retryability == "never"}
    assert " ".join(sorted(never)) == "12 13 14 19 23 30 41 43 54 56 57 58 63 64 76 77 82 83 AB AC FM P5"
    assert " ".join(sorted(set(rows) - never)) == "04 05 06 38 51 55 59 61 62 65 75 78 91 96 P6"


def test_advice_waits_as_long_as_mastercard_says() -> None:
    advice = rows_of("mastercard", "merchant_advice_code")
    hours = {code: row.wait_s / 3600 for code, row in advice.items() if row.wait_s}
    assert hours == {"02": 72, "24": 1, "25": 24, "26": 48, "27": 96, "28": 144, "29": 192, "30": 240}
    assert {code for code, row in advice.items() if row.says("lenient").kind == "never"} == {"03", "21"}
    assert set(advice) == {"01", "02", "03", "04", "05", "21", "22", *(str(code) for code in range(24, 31)), "40", "41", "42", "43"}


@pytest.mark.parametrize(("code", "change"), [("79", "card"), ("82", "card"), ("83", "authentication")])
def test_advice_01_means_new_data_except_for_fraud_where_authentication_helps(code: str, change: str) -> None:
    read = read_answer("mastercard", countries=("DE", None), response_code=code, merchant_advice_code="01")
    assert retryability_of(read.advice, reading="strict").change == change


def test_what_brazil_forbids_is_irreversible_in_its_standard() -> None:
    irreversible = {(row.network, row.code) for row in brazil_codes() if row.kind == "irreversible"}
    for row in code_rows():
        if row.region == "BR":
            assert (row.network, row.code) in irreversible


@pytest.mark.parametrize(
    ("network", "code", "kinds"),
    [
        ("elo", "57", {"irreversible"}),
        ("visa", "57", {"reversible"}),
        ("visa", "78", {"irreversible"}),
        ("elo", "78", {"reversible"}),
        ("visa", "62", {"reversible"}),
        ("mastercard", "62", {"irreversible"}),
        ("mastercard", "63", {"reversible"}),
        ("visa", "63", {"irreversible"}),
        ("elo", "62", {"reversible", "irreversible"}),
        ("amex", "116", {"reversible", "irreversible"}),
    ],
)
def test_brazil_types_codes_by_network(network: str, code: str, kinds: set[str]) -> None:
    assert {row.kind for row in brazil_codes() if (row.network, row.code) == (network, code)} == kinds


@pytest.mark.parametrize(
    ("network", "shift", "none"),
    [
        ("visa", "05 06", "07"),
        ("mastercard", "02 01 07", "00 04 06 N0 N2"),
        *((network, "05 06", "07") for network in ("amex", "diners", "discover", "jcb", "unionpay", "elo")),
        ("cartes_bancaires", "05 02 06 01", "07 00"),
    ],
)
def test_indicators_say_who_bears_fraud(network: str, shift: str, none: str) -> None:
    rows = [row for row in eci_rows() if row.network == network]
    assert {row.eci for row in rows if row.liability_shift} == set(shift.split())
    assert {row.eci for row in rows if not row.liability_shift} == set(none.split())


def test_what_an_attempt_over_the_limit_costs_on_a_day() -> None:
    day = "2026-06-01"
    costs = {
        (fee.network, fee.region, fee.crossing): (fee.amount_minor, fee.currency)
        for fee in attempt_fees()
        if fee.after == "limit" and fee.effective_from <= day and (not fee.effective_until or day < fee.effective_until)
    }
    assert costs["visa", "US", "domestic"] == (10, "USD")
    assert costs["visa", "US", "cross_border"] == (25, "USD")
    assert costs["mastercard", "US", ""] == (50, "USD")
    assert costs["mastercard", "BR", ""] == (200, "BRL")
    assert costs["elo", "BR", ""] == (80, "BRL")
    assert len(costs) == 18


def test_codes_that_ask_for_authentication_say_so_in_both_tables() -> None:
    for (network, code), row in step_ups().items():
        countries = ("DE", None) if row.region else (None, None)
        read = read_answer(network, countries=countries, response_code=code, merchant_advice_code=None)
        assert retryability_of(read.code, reading="strict").change == "authentication"


@pytest.mark.parametrize(
    ("network", "code", "country", "kind"),
    [
        ("visa", "41", "DE", "never"),
        ("jcb", "41", "DE", "never"),  # Not in a table of its own: ISO 8583 holds.
        ("mastercard", "65", "DE", "after_change"),
        ("mastercard", "65", "US", "not_before"),
        ("visa", "39", "DE", "after_change"),
        ("visa", "06", "DE", "free"),
        ("visa", "06", "BR", "never"),
        ("visa", "D51", "DE", "unknown"),
    ],
)
def test_what_may_be_done_depends_on_network_and_region(network: str, code: str, country: str, kind: Kind) -> None:
    explained = explain(network, response_code=code, merchant_advice_code=None, countries=(country, country))
    assert (explained.strict_kind, explained.known) == (kind, kind != "unknown")


def test_what_one_attempt_too_many_costs_is_said_for_the_day_by_region() -> None:
    def told(network: str, day: date) -> dict[tuple[str, str], tuple[float, str, tuple[str, ...]]]:
        found = explain(network, response_code="51", merchant_advice_code=None, on=day)
        return {(fee.after, fee.crossing): (fee.amount_minor, fee.currency, fee.regions) for fee in found.fees if "US" in fee.regions}

    assert told("visa", date(2026, 4, 24))["limit", "cross_border"] == (15, "USD", ("US", "CA", "EUROPE", "AP", "AE"))
    assert told("visa", date(2026, 4, 25))["limit", "cross_border"][:2] == (25, "USD")
    assert told("mastercard", date(2026, 6, 1)) == {
        ("limit", ""): (50, "USD", ("US", "CA")),
        ("never", ""): (3, "USD", ("US",)),
        ("advice", ""): (2, "USD", ("US",)),
    }
    assert explain("visa", response_code="51", merchant_advice_code=None).fees == ()


def test_the_tables_have_a_name_that_changes_with_them() -> None:
    assert len(tables_id()) == 12
