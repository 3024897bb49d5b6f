"""Acquirers' own codes, translated to those of the networks by a small file of each acquirer."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import msgspec

from honour.networks.codes import code_rows
from honour.records.attempt import Attempt, Outcome
from honour.records.settings import MappedCode, Settings

Answer = TypeVar("Answer", Outcome, Attempt)


def translated(answer: Answer, *, route: str, settings: Settings) -> Answer:
    """The answer with the network's codes; the acquirer's own stays as `acquirer_code`. The same answer when its acquirer has no map.

    An advice that the caller reports itself stands before the map's.
    """
    code = answer.acquirer_code or answer.response_code
    if code is None or not settings.code_maps:
        return answer
    mapped = _map_of(route, settings).get(code)
    if mapped is None:
        return answer
    advice = answer.merchant_advice_code or mapped.merchant_advice_code
    return msgspec.structs.replace(answer, response_code=mapped.response_code, merchant_advice_code=advice, acquirer_code=code)


def why_unknown(mapped: MappedCode) -> str | None:
    """Which of its codes no table of the networks knows, or None."""
    known = _known()
    for signal, code in (("response_code", mapped.response_code), ("merchant_advice_code", mapped.merchant_advice_code)):
        if code is not None and (signal, code) not in known:
            return f"{signal} {code!r}"
    return None


def _map_of(route: str, settings: Settings) -> dict[str, MappedCode]:
    acquirer = next((one.acquirer for one in settings.routes if one.id == route), None)
    return next((one.codes for one in settings.code_maps if one.acquirer == acquirer), {}) if acquirer is not None else {}


@cache
def _known() -> frozenset[tuple[str, str]]:
    return frozenset((row.signal, row.code) for row in code_rows())
