"""The OpenAPI 3.1 document, made from the records themselves, and a page a person can read."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

import msgspec

from honour import __version__
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.settings import Settings
from honour.serving.deadline import DEADLINE_MS_MAX, HEADER
from honour.serving.due import QUERY, DueList
from honour.serving.story import Health, Story
from honour.serving.wire import KINDS, AttemptLine, BulkResult, DisputeLine, OutcomeLine, Problem

_PAYMENT = {
    "payment_id": "pay_01",
    "merchant_id": "mer_7",
    "amount_minor": 12900,
    "currency": "BRL",
    "card": {"card_id": "crd_9f", "bin": "41111111", "network": "visa"},
}
EXAMPLES: dict[type, dict[str, Any]] = {
    DecisionRequest: {"payment": _PAYMENT},
    Outcome: {"decision_id": "dec_01", "status": "declined", "response_code": "51"},
    Attempt: {
        "attempt_id": "att_1",
        "payment": _PAYMENT,
        "route": "acq_br_1",
        "attempted_at": "2026-03-01T12:00:00Z",
        "status": "approved",
    },
    Dispute: {"dispute_id": "dsp_1", "payment_id": "pay_01"},
}
_POSTS: tuple[tuple[str, type, type, str], ...] = (
    (
        "/v1/decisions",
        DecisionRequest,
        Decision,
        "What should happen next to this payment? Asked again before its outcome is known, the same decision.",
    ),
    (
        "/v1/outcomes",
        Outcome,
        Outcome,
        "Report what came back for a decision. The same again is fine; a contradicting one is refused and the first stands.",
    ),
    ("/v1/attempts", Attempt, Attempt, "Record an attempt that Honour did not choose. It counts for learning and for retry limits."),
    ("/v1/disputes", Dispute, Dispute, "Record a chargeback or fraud report about a payment."),
)
_REFUSALS = {
    "400": "The body is no JSON",
    "401": "No API key, or one that is not known, where one is needed",
    "403": "The API key may not do this, or not for this merchant",
    "404": "The report names something the log does not hold",
    "409": "Contradicts what stands",
    "413": "Body too large",
    "415": "Not JSON by its content type",
    "422": "A value is not allowed; `errors` names each field",
    "429": "The API key asks more often than it may; send again after Retry-After seconds",
    "503": "Nothing can be kept at present, more comes in than can be done, or the deadline is over; send again after Retry-After seconds",
}

_DEADLINE = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Milliseconds from the arrival of the request until its answer is due",
    "schema": {"type": "integer", "minimum": 1, "maximum": DEADLINE_MS_MAX},
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}pre,code{background:#f4f4f4}"
    "pre{padding:.8rem;overflow:auto}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd}"
)


@cache
def document() -> dict[str, Any]:
    """The whole API as OpenAPI 3.1."""
    kinds: list[Any] = [
        DecisionRequest,
        Decision,
        Outcome,
        Attempt,
        Dispute,
        OutcomeLine,
        AttemptLine,
        DisputeLine,
        BulkResult,
        Problem,
        DueList,
        Story,
        Health,
        Settings,
    ]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(kinds, schemas, strict=True))
    problem = {"application/problem+json": {"schema": schema_of[Problem]}}
    refusals = {code: {"description": why, "content": problem} for code, why in _REFUSALS.items()}
    paths: dict[str, Any] = {}
    for path, taken, given, summary in _POSTS:
        body = {"application/json": {"schema": schema_of[taken], "example": EXAMPLES[taken]}}
        paths[path] = {"post": _operation(path, summary, schema_of[given], refusals, body=body)}
    lines = {"application/x-ndjson": {"schema": {"oneOf": [schema_of[kind] for kind in (OutcomeLine, AttemptLine, DisputeLine)]}}}
    bulk = 'The same as NDJSON, one record a line with "type": "outcome", "attempt" or "dispute". Good lines are kept, bad ones are named.'
    paths["/v1/events"] = {"post": _operation("/v1/events", bulk, schema_of[BulkResult], refusals, body=lines)}
    due = _operation("/v1/payments", "Retries that are due: payments to ask about again, the earliest first.", schema_of[DueList], refusals)
    due["parameters"] = [
        {"name": name, "in": "query", "required": False, "description": what, "schema": {"type": "string"}} for name, what in QUERY.items()
    ]
    paths["/v1/payments"] = {"get": due}
    story = _operation("/v1/payments/{payment_id}", "Everything the log holds of one payment, with why.", schema_of[Story], refusals)
    story["parameters"] = [{"name": "payment_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    paths["/v1/payments/{payment_id}"] = {"get": story}
    in_force = "The settings in force, without their secrets."
    paths["/v1/settings"] = {"get": _operation("/v1/settings", in_force, schema_of[Settings], refusals)}
    for path, summary in (("/healthz", "The process lives."), ("/readyz", "The service accepts work.")):
        paths[path] = {"get": _operation(path, summary, schema_of[Health], {"503": refusals["503"]})}
    text = {"200": {"description": "Prometheus exposition format", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    paths["/metrics"] = {"get": {"operationId": "metrics", "summary": "Counters for Prometheus.", "responses": text}}
    told: dict[str, Any] = _plain_tuples(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Honour",
                "version": __version__,
                "description": "What should happen next to a card payment: attempt it now, and how; wait; or stop, and why.",
            },
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            "security": [{"key": []}, {}],
        }
    )
    return told


def _plain_tuples(tree: Any) -> Any:
    """Tuples whose places are all alike as lists of one length: generators of clients do not know `prefixItems` with `items: false`."""
    if isinstance(tree, list):
        return [_plain_tuples(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    told = {key: _plain_tuples(value) for key, value in tree.items()}
    places = told.get("prefixItems")
    if told.get("items") is False and isinstance(places, list) and places and all(one == places[0] for one in places):
        del told["prefixItems"]
        told["items"] = places[0]
    return told


def _operation(
    path: str, summary: str, answer: dict[str, Any], refusals: dict[str, Any], *, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    words = [part for part in path.replace("{", "").replace("}", "").split("/") if part not in ("", "v1")]
    operation: dict[str, Any] = {
        "operationId": "_".join(words),
        "summary": summary,
        "responses": {"200": {"description": "Done, and durable", "content": {"application/json": {"schema": answer}}}, **refusals},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
        operation["parameters"] = [_DEADLINE]
    return operation


@cache
def page() -> str:
    """The document as one HTML page, without anything from elsewhere."""
    told = document()
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Honour API</title>",
        f"<style>{_STYLE}</style>",
        f"<h1>Honour {escape(told['info']['version'])}</h1>",
        "<p>The machine-readable document is <a href='/openapi.json'>/openapi.json</a>.</p>",
    ]
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>")
            for kind, media in operation.get("requestBody", {}).get("content", {}).items():
                parts.append(f"<p>Takes <code>{escape(kind)}</code>: {_links(media['schema'])}</p>")
                if "example" in media:
                    parts.append(f"<pre>{escape(msgspec.json.format(msgspec.json.encode(media['example']), indent=2).decode())}</pre>")
            answer = next(iter(operation["responses"]["200"]["content"].values()))["schema"]
            parts.append(f"<p>Gives {_links(answer)}</p>")
    parts.append("<h2>Problems</h2><table>")
    parts += [f"<tr><th>{code}</th><td>{escape(why)}</td></tr>" for code, why in _REFUSALS.items()]
    parts.append("</table>")
    for kind, (status, title) in KINDS:
        parts.append(f"<h3 id='{kind.anchor}'>{status} {escape(title)}</h3><p>{escape(kind.__doc__ or '')}</p>")
    parts.append("<h2>Records</h2>")
    for name, schema in told["components"]["schemas"].items():
        parts.append(f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p><table>")
        required = schema.get("required", [])
        for key, value in schema.get("properties", {}).items():
            parts.append(
                f"<tr><th><code>{escape(key)}</code></th><td>{'required' if key in required else ''}</td><td>{_links(value)}</td></tr>"
            )
        parts.append("</table>")
    return "\n".join(parts)


def _links(schema: Any) -> str:
    """A schema in words, with links to the records it names."""
    match schema:
        case {"$ref": ref}:
            name = escape(str(ref).rsplit("/", 1)[-1])
            return f"<a href='#{name}'>{name}</a>"
        case {"anyOf": arms} | {"oneOf": arms}:
            return " or ".join(_links(arm) for arm in arms)
        case {"enum": values}:
            return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_links(items)}"
        case {"type": kind}:
            rest = {key: value for key, value in schema.items() if key not in ("type", "properties", "title", "description")}
            return escape(str(kind)) + (f" <small>{escape(str(rest))}</small>" if rest else "")
        case _:
            return "anything"
