"""Finding card numbers, so that they can be refused: 13 to 19 digits that pass the Luhn check (ISO/IEC 7812-1 annex B).

A plain run of digits counts wherever it stands, also inside a word. A run with single spaces or dashes between its digits counts
when it does not touch a letter, so that identifiers such as UUIDs pass. Longer runs are not card numbers, nor are the decimals of
a fraction such as 0.7013091911078593.
"""

from __future__ import annotations

import re
import unicodedata

_PLAIN = re.compile(r"(?<!\d)(?<!\d\.)\d{13,19}(?!\d)")
_SPACED = re.compile(r"(?<![^\W_])(?<!\d\.)\d(?:[ \-]?\d){12,}(?![^\W_])")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def holds_card_number(text: str) -> bool:
    """Whether a card number stands in `text`, plain or with spaces or dashes.

    >>> holds_card_number("4111" + "1111" * 3), holds_card_number("4111-" + "1111-" * 2 + "1111"), holds_card_number("4111 1111")
    (True, True, False)
    """
    if not text.isascii():
        # Wide digits, thin spaces and long dashes are read as plain ones.
        text = "".join(_plain(character) for character in text)
    if any(_passes_luhn(match.group()) for match in _PLAIN.finditer(text)):
        return True
    return any(_has_spaced(match.group()) for match in _SPACED.finditer(text))


def _has_spaced(run: str) -> bool:
    digits = run.replace(" ", "").replace("-", "")
    if len(digits) <= 19:
        return _passes_luhn(digits)
    # A number may be followed by other groups, an expiry date say: any whole groups that make 13 to 19 digits count.
    groups = re.split(r"[ \-]", run)
    for start in range(len(groups)):
        joined = ""
        for group in groups[start:]:
            joined += group
            if 13 <= len(joined) <= 19 and _passes_luhn(joined):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, character in enumerate(reversed(digits)):
        total += _DOUBLED[int(character)] if place % 2 else int(character)
    return total % 10 == 0 and digits.strip("0") != ""


def _plain(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.digit(character))
    return {"Zs": " ", "Pd": "-"}.get(kind, character)
