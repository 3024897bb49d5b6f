"""Finding card numbers, so that they can be refused: 13 to 19 digits that pass the Luhn check (ISO/IEC 7812-1 annex B).

A plain run of digits counts wherever it stands, also inside a word. A run with single spaces or dashes between its digits counts
when it does not touch a letter; an expiry date or a security code beside it hides nothing. No card numbers are: a longer run, the
digits of a UUID, and the decimals of a fraction such as 0.7013091911078593.
"""

from __future__ import annotations

import re
import unicodedata

_MAYBE = re.compile(r"[0-9][0-9 -]{12}")  # Costs microseconds, and nearly every text ends here.
_PLAIN = re.compile(r"(?<![0-9])(?<![0-9]\.)[0-9]{13,19}(?![0-9])")
_SPACED = re.compile(r"(?<![^\W_])(?<![0-9]\.)[0-9](?:[ -]?[0-9]){12,}(?![^\W_])")
_UUID = re.compile(r"(?<![^\W_])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![^\W_])")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_BETWEEN = re.compile(r"[ -]")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_GROUP_MIN = 3  # Digits of a group when a run is more than the number: dates fall apart, groups of card numbers do not.

_GROUPS_MAX = 19 // _GROUP_MIN + 1


def holds_card_number(text: str) -> bool:
    """Whether a card number stands in `text`, plain or with spaces or dashes. Digits and dashes of any script count.

    >>> holds_card_number("4111" + "1111" * 3), holds_card_number("4111-" + "1111-" * 2 + "1111"), holds_card_number("4111 1111")
    (True, True, False)
    """
    if not text.isascii():
        text = _BEYOND_ASCII.sub(_plain, text)
    if _MAYBE.search(text) is None:
        return False
    if any(_passes_luhn(match.group()) for match in _PLAIN.finditer(text)):
        return True
    return any(_has_spaced(match.group()) for match in _SPACED.finditer(_UUID.sub(" / ", text)))


def _has_spaced(run: str) -> bool:
    groups = _BETWEEN.split(run)
    whole = "".join(groups)
    if len(whole) <= 19 and _passes_luhn(whole):
        return True
    for start in range(len(groups)):
        joined = ""
        for group in groups[start : start + _GROUPS_MAX]:
            joined += group
            if len(group) < _GROUP_MIN or len(joined) > 19:
                break
            if len(joined) >= 13 and _passes_luhn(joined):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, character in enumerate(reversed(digits)):
        total += _DOUBLED[int(character)] if place % 2 else int(character)
    return total % 10 == 0 and digits.strip("0") != ""


def _plain(match: re.Match[str]) -> str:
    """Wide digits, thin spaces and long dashes as plain ones; what cannot be seen, as nothing."""
    character = match.group()
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.digit(character))
    return {"Zs": " ", "Pd": "-", "Cf": ""}.get(kind, character)
