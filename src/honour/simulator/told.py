"""What the wire tells of a cause: response codes and advice codes, the plain one often in place of the true one.

Codes: ISO 8583 field 39 and Mastercard merchant advice codes as the networks document them (networks.md sections 1 to 4).
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from honour.records.payment import Network
from honour.simulator.issuer import Issuer

Cause = Literal[
    "unsupported",
    "route",
    "authentication",
    "degraded",
    "issuer_down",
    "lifecycle",
    "abroad",
    "blocked",
    "velocity",
    "funds",
    "sca",
    "judgement",
]
"""Why an attempt is not approved, as only the world knows it."""

FUNDS_CANDOUR = 0.12
"""Issuers tell a lack of funds this much more often than other reasons."""
VISA_57_AS_05 = (date(2025, 10, 1), date(2026, 10, 25))
"""Between these days Visa rewrites 57 to 05 (Checkout.com, changes to Visa response codes, 2026-09-10)."""
_CONSOLIDATED = {"14": "79", "54": "79", "57": "82", "62": "82", "61": "82", "41": "83", "43": "83", "63": "83"}
"""Mastercard's codes for card-not-present declines (networks.md 2.2)."""


def told_code(cause: Cause, *, issuer: Issuer, network: Network, detail: str, uniforms: tuple[float, float], on: date) -> str:
    """Response code that `issuer` sends for `cause`; often 05, whatever the real reason.

    detail    of a lifecycle cause: expired | closed | stolen | security_code
    uniforms  two draws of this attempt
    """
    code = _plain_code(cause, issuer=issuer, network=network, detail=detail, uniforms=uniforms)
    if network == "mastercard" and issuer.consolidates:
        return _CONSOLIDATED.get(code, code)
    if network == "visa" and code == "57" and VISA_57_AS_05[0] <= on < VISA_57_AS_05[1]:
        return "05"
    return code


def _plain_code(cause: Cause, *, issuer: Issuer, network: Network, detail: str, uniforms: tuple[float, float]) -> str:
    tells, which = uniforms
    if cause == "issuer_down":
        return "91" if which < 0.7 else "96"
    if cause == "sca":
        return "65" if network == "mastercard" else "1A"
    if cause == "lifecycle":
        if detail == "security_code":
            return "N7" if network == "visa" else "63"
        return {"expired": "54", "closed": "14", "stolen": "41" if which < 0.6 else "43"}[detail]
    if cause == "degraded" or tells > issuer.candour + (FUNDS_CANDOUR if cause == "funds" else 0.0):
        return "05"
    if cause == "funds":
        return "51" if which < 0.94 else "61"
    if cause == "velocity":
        return "61" if network == "mastercard" else "65"
    if cause in ("abroad", "blocked"):
        return "62" if which < (0.8 if cause == "abroad" else 0.3) else "57"
    return "59" if which < 0.3 else "63" if which < 0.4 and network != "elo" else "62" if which < 0.6 else "57" if which < 0.8 else "05"


def advice_for(code: str, *, issuer: Issuer, network: Network, uniform: float) -> str | None:
    """Merchant advice code sent with a response code: Mastercard only, and only by issuers that send it."""
    if network != "mastercard" or not issuer.advises:
        return None
    if code == "51":
        return ("24", "25", "26", "27", "28", "29", "30")[int(uniform * 7)]
    if code in ("14", "41", "43"):
        return "03"
    if code in ("54", "79"):
        return "01" if code == "54" or uniform < 0.6 else "03"
    if code == "83":
        return "01" if uniform < 0.4 else "03"
    return "02" if code in ("05", "59", "61", "62", "63", "82", "91", "96") and uniform < 0.5 else None


def passed_on(code: str, *, candour: float, renames: bool, uniform: float) -> str:
    """What the acquirer makes of the issuer's code: itself, a plain 05, or a name of its own.

    candour  share of codes that it passes on; requests for authentication and approvals always are

    >>> passed_on("51", candour=0.9, renames=False, uniform=0.95), passed_on("51", candour=0.9, renames=True, uniform=0.5)
    ('05', 'D51')
    """
    known = code if code in ("1A", "65") or uniform < candour else "05"
    return f"D{known}" if renames else known
