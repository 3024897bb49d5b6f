"""The wire: bodies to records, and errors to `application/problem+json` (RFC 9457) with the path of the offending field."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from honour.errors import (
    BadInput,
    CardNumberRefused,
    Contradiction,
    DeadlineOver,
    HonourError,
    KeyRefused,
    LogAway,
    LogUnavailable,
    NotPermitted,
    Overloaded,
    RateExceeded,
    UnknownReference,
)
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import DecisionRequest
from honour.serving.security import refuse_in_body

DOCS = "/docs#"


class OutcomeLine(Outcome, tag_field="type", tag="outcome", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of POST /v1/events that reports an outcome."""


class AttemptLine(Attempt, tag_field="type", tag="attempt", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of POST /v1/events that reports an attempt Honour did not choose."""


class DisputeLine(Dispute, tag_field="type", tag="dispute", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of POST /v1/events that reports a dispute."""


Line = OutcomeLine | AttemptLine | DisputeLine
Report = Outcome | Attempt | Dispute
_RECORD_OF: dict[type[Line], type[Outcome] | type[Attempt] | type[Dispute]] = {
    OutcomeLine: Outcome,
    AttemptLine: Attempt,
    DisputeLine: Dispute,
}


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    path: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details. `type` is a link to the problem's section in the readable documentation."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


class BulkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a bulk body that was refused; lines count from 1."""

    line: int
    problem: Problem


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bulk body: every good line is kept, every bad one is named (the first 1000).

    accepted  lines that stand now; `repeated` of them stood before
    """

    accepted: int
    repeated: int
    refused: int
    refusals: tuple[BulkLine, ...]


class _Kind(NamedTuple):
    status: int
    title: str


KINDS: tuple[tuple[type[HonourError], _Kind], ...] = (
    (CardNumberRefused, _Kind(422, "Card numbers are refused")),
    (BadInput, _Kind(422, "A value is not allowed")),
    (KeyRefused, _Kind(401, "An API key is needed")),
    (NotPermitted, _Kind(403, "The API key may not do this")),
    (UnknownReference, _Kind(404, "The log holds no such thing")),
    (Contradiction, _Kind(409, "Contradicts what stands")),
    (RateExceeded, _Kind(429, "Asked too often")),
    (DeadlineOver, _Kind(503, "Not ready when it was due")),
    (Overloaded, _Kind(503, "More comes in than can be done")),
    (LogAway, _Kind(503, "The shared log is away")),
    (LogUnavailable, _Kind(503, "Nothing can be kept at present")),
)

_encoder = msgspec.json.Encoder()
_request = msgspec.json.Decoder(DecisionRequest)
_outcome = msgspec.json.Decoder(Outcome)
_attempt = msgspec.json.Decoder(Attempt)
_dispute = msgspec.json.Decoder(Dispute)
_line = msgspec.json.Decoder(Line)


def parse_request(body: bytes) -> DecisionRequest:
    """Body of POST /v1/decisions."""
    request: DecisionRequest = _parse(_request, body)
    return request


def parse_outcome(body: bytes) -> Outcome:
    """Body of POST /v1/outcomes."""
    outcome: Outcome = _parse(_outcome, body)
    return outcome


def parse_attempt(body: bytes) -> Attempt:
    """Body of POST /v1/attempts."""
    attempt: Attempt = _parse(_attempt, body)
    return attempt


def parse_dispute(body: bytes) -> Dispute:
    """Body of POST /v1/disputes."""
    dispute: Dispute = _parse(_dispute, body)
    return dispute


def parse_line(body: bytes) -> Report:
    """One line of POST /v1/events, as the record that it would be on its own."""
    line: Line = _parse(_line, body)
    return _RECORD_OF[type(line)](**{name: getattr(line, name) for name in line.__struct_fields__})


def render(value: Any) -> bytes:
    """A value as JSON."""
    return _encoder.encode(value)


def problem_of(error: HonourError) -> Problem:
    """The problem document of an error of Honour's; 400 for a body that is no JSON at all."""
    status, title = next((kind for cls, kind in KINDS if isinstance(error, cls)), _Kind(500, "Honour is at fault"))
    if isinstance(error.__cause__, msgspec.DecodeError | UnicodeDecodeError):
        status, title = 400, "Not JSON"
    errors = (FieldError(error.path, error.message),) if isinstance(error, BadInput) else ()
    detail = f"{error.path}: {error.message}" if isinstance(error, BadInput) else error.message
    return Problem(type=f"{DOCS}{error.anchor}", title=title, status=status, detail=detail, errors=errors)


def headers_of(problem: Problem) -> dict[str, str]:
    """Headers that belong to an answer with this problem: when to ask again, or how to say who asks."""
    return {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}.get(problem.status, {})


def plain_problem(status: int, *, title: str, detail: str) -> Problem:
    """A problem of HTTP itself: path, method, size."""
    return Problem(type="about:blank", title=title, status=status, detail=detail)


def _parse(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The record in `body`. Card numbers are looked for first, so that no message can repeat one."""
    refuse_in_body(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise BadInput(f"{message[0].lower()}{message[1:]}.", path=path.rstrip("`") or "$") from None
    except msgspec.DecodeError as error:
        raise BadInput(f"the body is not JSON: {error}.") from error
    except RecursionError:
        raise BadInput("the body is nested too deeply.") from None
