"""What an answer on one credential means for another of the same card: strict wherever documents differ."""

from __future__ import annotations

import pytest

from honour.networks.retry_limit import NEVER_US, RetryCounter
from honour.networks.table import Reading
from honour.networks.window import DAY_US
from honour.records.payment import Card, Initiator, Network, Payment
from honour.records.route import Candidate, CredentialForm

AT_US = 1_772_366_400_000_000


def _payment(network: Network = "visa", *, payment_id: str = "pay_1", initiator: Initiator = "merchant") -> Payment:
    card = Card(card_id="crd_1", bin="411111", network=network, issuer_country="DE", network_token=True)
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=100, currency="EUR", card=card, initiator=initiator)


def _answered(
    counter: RetryCounter, payment: Payment, code: str, *, form: CredentialForm = "pan", advice: str | None = None, at_us: int = AT_US
) -> None:
    counter.update(
        payment,
        candidate=Candidate("acq_a", "none", form),
        status="declined",
        response_code=code,
        merchant_advice_code=advice,
        arrived_us=at_us,
    )


def _open(counter: RetryCounter, payment: Payment, *, at_us: int = AT_US + 1, reading: Reading = "strict") -> set[str]:
    allowed = counter.allowed(payment, at_us=at_us, reading=reading)
    forms: tuple[CredentialForm, ...] = ("pan", "network_token", "updated_pan")
    return {form for form in forms if not allowed.forbids(form) and form not in allowed.stale}


def test_an_expired_card_is_held_back_for_a_day_and_its_token_and_updated_number_are_not() -> None:
    counter = RetryCounter()
    _answered(counter, _payment(), "54")
    assert _open(counter, _payment()) == {"network_token", "updated_pan"}
    assert _open(counter, _payment(), at_us=AT_US + DAY_US) == {"pan", "network_token", "updated_pan"}
    assert _open(counter, _payment(), reading="lenient") == {"pan", "network_token", "updated_pan"}


def test_a_token_that_is_refused_as_expired_speaks_for_the_number_on_file_too() -> None:
    counter = RetryCounter()
    _answered(counter, _payment(), "54", form="network_token")
    assert _open(counter, _payment()) == {"updated_pan"}
    _answered(counter, _payment(), "54", form="updated_pan")
    assert _open(counter, _payment()) == set()


def test_advice_that_there_are_new_data_ends_the_old_ones_for_a_renewal_and_lets_newer_ones_through_at_once() -> None:
    counter = RetryCounter()
    renewal = _payment("mastercard")
    _answered(counter, renewal, "79", advice="01")
    assert _open(counter, renewal) == {"network_token", "updated_pan"}
    assert _open(counter, renewal, at_us=AT_US + 20 * DAY_US) == {"network_token", "updated_pan"}
    assert _open(counter, renewal, at_us=AT_US + NEVER_US) == {"pan", "network_token", "updated_pan"}
    assert _open(counter, _payment("mastercard", payment_id="pay_2")) == {"pan", "network_token", "updated_pan"}


def test_a_shopper_who_is_there_may_type_other_data_after_that_advice() -> None:
    counter, purchase = RetryCounter(), _payment("mastercard", initiator="customer")
    _answered(counter, purchase, "79", advice="01")
    assert "pan" in _open(counter, purchase)


@pytest.mark.parametrize("advice", ["03", "21"])
def test_do_not_try_again_holds_for_every_credential_whatever_the_reading(advice: str) -> None:
    counter, renewal = RetryCounter(), _payment("mastercard")
    _answered(counter, renewal, "79", advice=advice)
    assert _open(counter, renewal, reading="strict") == _open(counter, renewal, reading="lenient") == set()


def test_a_closed_number_is_dead_in_the_strict_reading_and_in_the_lenient_one_its_successor_may_be_tried_once() -> None:
    counter = RetryCounter()
    _answered(counter, _payment(), "14")
    assert _open(counter, _payment()) == set()
    assert _open(counter, _payment(), reading="lenient") == {"updated_pan"}
    _answered(counter, _payment(), "14", form="updated_pan", at_us=AT_US + 1)
    assert _open(counter, _payment(), at_us=AT_US + 2, reading="lenient") == set()
    assert _open(counter, _payment(payment_id="pay_2"), at_us=AT_US + 2, reading="lenient") == set()


@pytest.mark.parametrize("code", ["41", "43", "04", "07", "R3"])
def test_a_lost_or_stolen_card_or_a_stop_order_is_never_tried_in_another_form(code: str) -> None:
    counter = RetryCounter()
    _answered(counter, _payment(), code)
    assert _open(counter, _payment(), reading="lenient") == set()


def test_attempts_in_every_form_count_together_towards_the_limits() -> None:
    counter, payment = RetryCounter(), _payment()
    before = counter.allowed(payment, at_us=AT_US).attempts_left
    forms: tuple[CredentialForm, ...] = ("pan", "network_token", "updated_pan")
    for form in forms:
        _answered(counter, payment, "05", form=form)
    assert before is not None
    assert counter.allowed(payment, at_us=AT_US + 1).attempts_left == before - 3


def test_what_was_said_of_a_credential_survives_a_restart() -> None:
    counter = RetryCounter()
    _answered(counter, _payment(), "54")
    _answered(counter, _payment(payment_id="pay_2"), "14", form="updated_pan")
    again = RetryCounter.from_bytes(counter.to_bytes())
    assert again.to_bytes() == counter.to_bytes()
    for payment_id in ("pay_1", "pay_2"):
        payment = _payment(payment_id=payment_id)
        assert again.allowed(payment, at_us=AT_US + 1, reading="lenient") == counter.allowed(payment, at_us=AT_US + 1, reading="lenient")
