"""Codes and advice are those that networks document, and hide what issuers and acquirers hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from honour.records.payment import Network
from honour.simulator.issuer import make_issuers
from honour.simulator.told import Cause, advice_for, passed_on, told_code

TELLS_ALL = replace(make_issuers(1)[0], candour=1.0, consolidates=False, advises=True)
TELLS_NOTHING = replace(TELLS_ALL, candour=0.0)
MARCH = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("cause", "network", "detail", "code"),
    [
        ("funds", "visa", "", "51"),
        ("issuer_down", "visa", "", "91"),
        ("sca", "visa", "", "1A"),
        ("sca", "mastercard", "", "65"),
        ("velocity", "visa", "", "65"),
        ("velocity", "mastercard", "", "61"),
        ("lifecycle", "visa", "expired", "54"),
        ("lifecycle", "visa", "closed", "14"),
        ("lifecycle", "visa", "security_code", "N7"),
        ("degraded", "visa", "", "05"),
    ],
)
def test_each_cause_has_the_code_that_the_networks_document(cause: Cause, network: Network, detail: str, code: str) -> None:
    assert told_code(cause, issuer=TELLS_ALL, network=network, detail=detail, uniforms=(0.5, 0.5), on=MARCH) == code


def test_an_issuer_without_candour_says_05_but_never_hides_a_demand_for_authentication() -> None:
    judged = told_code("judgement", issuer=TELLS_NOTHING, network="visa", detail="", uniforms=(0.5, 0.5), on=MARCH)
    demand = told_code("sca", issuer=TELLS_NOTHING, network="visa", detail="", uniforms=(0.5, 0.5), on=MARCH)
    assert (judged, demand) == ("05", "1A")


def test_visa_rewrites_57_between_its_dates_only() -> None:
    def blocked(on: date) -> str:
        return told_code("blocked", issuer=TELLS_ALL, network="visa", detail="", uniforms=(0.5, 0.9), on=on)

    days = (date(2025, 9, 30), date(2025, 10, 1), date(2026, 10, 24), date(2026, 10, 25))
    assert [blocked(on) for on in days] == ["57", "05", "05", "57"]


def test_mastercard_issuers_that_consolidate_send_79_82_and_83() -> None:
    issuer = replace(TELLS_ALL, consolidates=True)
    codes = [
        told_code(cause, issuer=issuer, network="mastercard", detail=detail, uniforms=(0.5, which), on=MARCH)
        for cause, detail, which in (("lifecycle", "expired", 0.5), ("blocked", "", 0.9), ("lifecycle", "stolen", 0.5))
    ]
    assert codes == ["79", "82", "83"]


def test_only_mastercard_gives_advice_and_funds_wait_for_one_of_seven_times() -> None:
    assert advice_for("51", issuer=TELLS_ALL, network="visa", uniform=0.5) is None
    found = {advice_for("51", issuer=TELLS_ALL, network="mastercard", uniform=(n + 0.5) / 70) for n in range(70)}
    assert found == {"24", "25", "26", "27", "28", "29", "30"}
    assert advice_for("14", issuer=TELLS_ALL, network="mastercard", uniform=0.9) == "03"
    assert advice_for("51", issuer=replace(TELLS_ALL, advises=False), network="mastercard", uniform=0.5) is None


def test_an_acquirer_without_candour_hides_reasons_but_never_a_demand_for_authentication() -> None:
    assert passed_on("51", candour=0.0, renames=False, uniform=0.5) == "05"
    assert passed_on("65", candour=0.0, renames=False, uniform=0.5) == "65"
