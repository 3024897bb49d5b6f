"""Card numbers are found however they are written; what only looks a little like one passes."""

from __future__ import annotations

import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.records.card_number import holds_card_number

# Put together here, so that none lies on a disk.
VISA, MASTERCARD, AMEX = "4111" + "1111" * 3, "5555" + "5555" * 2 + "4444", "3782" + "822463" + "10005"
PLAIN = {13: "4222" + "2222" * 2 + "2", 14: "3056" + "930902" + "5904", 15: AMEX, 16: VISA, 19: "6304" + "0000" * 3 + "000"}


def with_check_digit(body: str) -> str:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return body + str(-(doubled + sum(map(int, body[-2::-2]))) % 10)


numbers = st.text("0123456789", min_size=12, max_size=18).filter(lambda body: body.strip("0") != "").map(with_check_digit)
separators = st.sampled_from(["", " ", "-"])


@st.composite
def spaced(draw: st.DrawFn) -> str:
    number = draw(numbers)
    between = draw(st.lists(separators, min_size=len(number) - 1, max_size=len(number) - 1))
    return number[0] + "".join(separator + digit for separator, digit in zip(between, number[1:], strict=True))


@pytest.mark.parametrize("length", PLAIN)
def test_known_numbers_of_every_length_are_found(length: int) -> None:
    assert len(PLAIN[length]) == length
    assert holds_card_number(PLAIN[length])


@given(spaced())
def test_a_number_is_found_with_spaces_and_dashes_anywhere_between_its_digits(number: str) -> None:
    assert holds_card_number(number)


@given(
    spaced(),
    st.sampled_from(["", " ", ": ", "«", "\n", "\t", "/", '"', "{", ".", ", "]),
    st.sampled_from(["", " is", ".", "\n", '"', "/28", ";"]),
)
def test_a_number_is_found_among_words_and_signs(number: str, before: str, after: str) -> None:
    assert holds_card_number(f"card{before or ' '}{number}{after}")


@given(numbers, st.text("abcxyzABC_", max_size=5), st.text("abcxyzABC_", max_size=5))
def test_a_plain_number_is_found_inside_a_word(number: str, before: str, after: str) -> None:
    assert holds_card_number(f"{before}{number}{after}")


@given(st.text("0123456789", min_size=13, max_size=19).filter(lambda digits: with_check_digit(digits[:-1]) != digits))
def test_digits_that_fail_the_check_pass(digits: str) -> None:
    assert not holds_card_number(digits)


@given(st.text("0123456789", min_size=1, max_size=12) | st.text("0123456789", min_size=20, max_size=60))
def test_shorter_and_longer_runs_pass(digits: str) -> None:
    assert not holds_card_number(digits)
    assert not holds_card_number(f"id_{digits}")


@pytest.mark.parametrize("number", [VISA, MASTERCARD, AMEX])
@pytest.mark.parametrize("beside", ["{} 123", "{} 12/28", "{} 1228", "{}-123", "123 {}", "{} 12 28", "{} 2nd attempt", "2 {}"])
def test_an_expiry_date_or_a_security_code_beside_a_number_hides_nothing(number: str, beside: str) -> None:
    grouped = f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}"
    assert holds_card_number(beside.format(grouped))
    assert holds_card_number(beside.format(number))


@pytest.mark.parametrize("zero", [0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE])
def test_digits_of_every_script_count(zero: int) -> None:
    assert holds_card_number("".join(chr(zero + int(digit)) for digit in VISA))


@pytest.mark.parametrize("separator", ["\u00a0", "\u2009", "\u2013", "\u2011", "\u200b", "\u00ad"])
def test_typographers_separators_count(separator: str) -> None:
    assert holds_card_number(separator.join(VISA[at : at + 4] for at in range(0, 16, 4)))


def test_no_uuid_is_taken_for_a_number() -> None:
    numbers = random.Random(5)
    made = [str(uuid.UUID(int=numbers.getrandbits(128), version=4)) for _ in range(20_000)]
    assert not any(holds_card_number(f"pay {one}, {one.upper()}") for one in made)
    # Of digits only, which drawing does not reach.
    assert not holds_card_number(f"{VISA[:8]}-{VISA[8:12]}-{VISA[12:]}-8123-123456789012")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01T12:00:00Z",
        "2026-03-01 2026-03-02 2026-03-03",
        "0.4111111111111111",
        '{"CAD":1.4150668250112406,"MXN":25.09984809423505}',
        "0" * 16,
        "+49 30 1234567",
        "4111 1111 1111",
        "4111  1111  1111  1111",
        "1772366400000001",
    ],
)
def test_dates_fractions_telephones_and_short_numbers_pass(text: str) -> None:
    assert not holds_card_number(text)


def test_a_request_without_a_number_passes_and_with_one_in_any_field_does_not() -> None:
    body = {
        "payment_id": "pay_01",
        "created_at": "2026-03-01T12:00:00Z",
        "amount_minor": 12900,
        "card": {"bin": "41111111"},
        "risk": 0.123456789012345,
    }
    assert not holds_card_number(json.dumps(body))
    for field in ("payment_id", "created_at", "amount_minor"):
        assert holds_card_number(json.dumps({**body, field: VISA}))


@pytest.mark.parametrize("part", ["1 ", "12345 ", "1", "1-1 ", "123 ", "123456789012 x", "\u0661"])
def test_a_long_text_made_to_be_slow_is_looked_through(part: str) -> None:
    # It used to take the square of the length: minutes for these.
    assert not holds_card_number(part * (200_000 // len(part)) + "x")
