"""Eligibility: each reason, and their order of precedence."""

from __future__ import annotations

import msgspec
import pytest

from honour.networks.codes import rows_by_key
from honour.networks.retry_limit import Allowed
from honour.policy.eligible import consider
from honour.records.payment import Card, Payment
from honour.records.route import Route

AT_US = 1_772_366_400_000_000  # 2026-03-01
ROUTE = Route(id="acq_a", networks=("visa",), currencies=("EUR",), funding=("credit",), merchants=("mer_1",), installments_max=3)
CARD = Card(card_id="crd_1", bin="411111", network="visa", funding="credit", expires="2026-03")
PAYMENT = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=100, currency="EUR", card=CARD)


def reasons(
    payment: Payment = PAYMENT, route: Route = ROUTE, *, requested: tuple[str, ...] | None = None, allowed: Allowed | None = None
) -> tuple[str, ...]:
    return consider(payment, routes=(route,), requested=requested, allowed=allowed or Allowed())[0].reasons


def test_a_payment_within_everything_the_route_supports_is_eligible() -> None:
    assert reasons() == ()


@pytest.mark.parametrize(
    ("reason", "payment", "route"),
    [
        ("route_disabled", PAYMENT, msgspec.structs.replace(ROUTE, enabled=False)),
        ("merchant_not_supported", msgspec.structs.replace(PAYMENT, merchant_id="mer_2"), ROUTE),
        ("network_not_supported", msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(CARD, network="elo")), ROUTE),
        ("currency_not_supported", msgspec.structs.replace(PAYMENT, currency="BRL"), ROUTE),
        ("funding_not_supported", msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(CARD, funding="debit")), ROUTE),
        ("installments_not_supported", msgspec.structs.replace(PAYMENT, installments=4), ROUTE),
        ("credential_not_available", PAYMENT, msgspec.structs.replace(ROUTE, credentials=("network_token",))),
        (
            "shopper_absent",
            msgspec.structs.replace(PAYMENT, initiator="merchant"),
            msgspec.structs.replace(ROUTE, authentications=("three_ds",)),
        ),
    ],
)
def test_what_the_route_cannot_take_is_named(reason: str, payment: Payment, route: Route) -> None:
    assert reasons(payment, route) == (reason,)


def test_all_reasons_are_given_in_order_of_precedence() -> None:
    payment = msgspec.structs.replace(PAYMENT, merchant_id="mer_2", currency="BRL", installments=9)
    route = msgspec.structs.replace(ROUTE, enabled=False)
    assert reasons(payment, route, requested=("acq_b",), allowed=Allowed(attempts_left=0)) == (
        "network_rule",
        "route_not_requested",
        "route_disabled",
        "merchant_not_supported",
        "currency_not_supported",
        "installments_not_supported",
    )


def test_funding_that_is_not_known_refuses_nothing() -> None:
    assert reasons(msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(CARD, funding=None))) == ()


def test_a_stored_card_outlives_its_printed_date() -> None:
    old = msgspec.structs.replace(CARD, expires="2020-01")
    assert reasons(msgspec.structs.replace(PAYMENT, card=old, initiator="merchant")) == ()
    assert reasons(msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(old, network_token=True))) == ()


def test_a_network_token_is_sent_before_the_card_number_where_the_route_can() -> None:
    both = msgspec.structs.replace(ROUTE, credentials=("pan", "network_token"))
    tokenised = msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(CARD, network_token=True))
    assert consider(tokenised, routes=(both,), requested=None, allowed=Allowed())[0].candidate.credential == "network_token"
    assert consider(PAYMENT, routes=(both,), requested=None, allowed=Allowed())[0].candidate.credential == "pan"


def test_after_a_refusal_each_form_of_the_card_is_a_candidate_and_the_updater_is_asked_for_cards_on_file_only() -> None:
    route = msgspec.structs.replace(ROUTE, credentials=("pan", "network_token", "updated_pan"))
    tokenised = msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(CARD, network_token=True))
    renewal = msgspec.structs.replace(tokenised, initiator="merchant")

    def forms(payment: Payment, *, refused: bool) -> list[str]:
        found = consider(payment, routes=(route,), requested=None, allowed=Allowed(), refused=refused)
        return [one.candidate.credential for one in found if one.eligible]

    assert forms(renewal, refused=False) == ["network_token"]
    assert forms(renewal, refused=True) == ["network_token", "pan", "updated_pan"]
    assert forms(tokenised, refused=True) == ["network_token", "pan"]
    assert forms(msgspec.structs.replace(PAYMENT, initiator="merchant"), refused=True) == ["pan", "updated_pan"]


def test_a_form_whose_data_are_old_is_held_back_and_a_newer_one_is_not() -> None:
    row = rows_by_key()["visa/response_code/54"]
    allowed = Allowed(stale={"pan": (AT_US + 1, row)})
    route = msgspec.structs.replace(ROUTE, credentials=("pan", "updated_pan"))
    renewal = msgspec.structs.replace(PAYMENT, initiator="merchant")
    found = consider(renewal, routes=(route,), requested=None, allowed=allowed, refused=True)
    assert [(one.candidate.credential, one.reasons) for one in found] == [("pan", ("credential_stale",)), ("updated_pan", ())]


def test_a_never_that_leaves_the_updated_number_forbids_every_other_form() -> None:
    row = rows_by_key()["visa/response_code/14"]
    allowed = Allowed(never=row, never_but=frozenset(("updated_pan",)))
    route = msgspec.structs.replace(ROUTE, credentials=("pan", "network_token", "updated_pan"))
    renewal = msgspec.structs.replace(PAYMENT, initiator="merchant", card=msgspec.structs.replace(CARD, network_token=True))
    found = consider(renewal, routes=(route,), requested=None, allowed=allowed, refused=True)
    assert [one.reasons for one in found] == [("network_rule",), ("network_rule",), ()]
