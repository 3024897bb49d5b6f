"""Bodies as they come in over ASGI: their type, their size, their lines; refused as soon as it is known that they cannot be taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import lru_cache

from starlette.types import Receive

from honour.serving.wire import Problem, plain_problem

Headers = dict[bytes, bytes]


class HttpRefused(Exception):
    """A problem of HTTP itself, with the anchor under which it is counted."""

    def __init__(self, problem: Problem, *, anchor: str) -> None:
        super().__init__(problem.title)
        self.problem, self.anchor = problem, anchor


class Disconnected(Exception):
    """The caller left before its body was whole: nobody waits for an answer, and half a body is not taken."""


def check_type(headers: Headers, kinds: tuple[str, ...], *, advice: str) -> None:
    """Refuse a body of another type than those that end so; none given is taken as the right one."""
    if not _is_of_kind(headers.get(b"content-type", b""), headers.get(b"content-encoding", b"identity"), kinds):
        raise HttpRefused(
            plain_problem(415, title="Unsupported Media Type", detail=f"{advice} It must not be compressed."),
            anchor="unsupported-media-type",
        )


@lru_cache(maxsize=16)
def _is_of_kind(content_type: bytes, encoding: bytes, kinds: tuple[str, ...]) -> bool:
    said = content_type.split(b";")[0].strip().lower().decode("latin-1")
    is_right = not said or any(said.endswith((f"/{kind}", f"/x-{kind}", f"+{kind}")) for kind in kinds)
    return is_right and encoding.strip().lower() == b"identity"


async def whole_body(receive: Receive, headers: Headers, *, bytes_max: int) -> bytes:
    """The body, or HttpRefused as soon as it is too large."""
    check_length(headers, bytes_max=bytes_max, key="serving.body_bytes_max")
    chunks, n_bytes, more = [], 0, True
    while more:
        chunk, more = await _chunk(receive)
        chunks.append(chunk)
        n_bytes += len(chunk)
        if n_bytes > bytes_max:
            raise too_large(bytes_max, key="serving.body_bytes_max")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def lines_of(receive: Receive, headers: Headers, *, bytes_max: int, line_bytes_max: int) -> AsyncIterator[bytes]:
    """Lines as they come in, never more of them in memory than came in at once. A line that is too long comes as a line that is no JSON."""
    check_length(headers, bytes_max=bytes_max, key="serving.bulk_bytes_max")
    rest, n_bytes, more, is_too_long = b"", 0, True, False
    while more:
        chunk, more = await _chunk(receive)
        n_bytes += len(chunk)
        if n_bytes > bytes_max:
            raise too_large(bytes_max, key="serving.bulk_bytes_max")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _TOO_LONG if is_too_long or len(line) > line_bytes_max else line
            is_too_long = False
        if len(rest) > line_bytes_max:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield _TOO_LONG if is_too_long else rest


_TOO_LONG = b"(longer than serving.body_bytes_max)"


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message.get("body", b""), bool(message.get("more_body"))


def check_length(headers: Headers, *, bytes_max: int, key: str) -> None:
    """Refuse a body that says itself that it is too large; `key` is the setting that says so."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > bytes_max:
        raise too_large(bytes_max, key=key)


def too_large(bytes_max: int, *, key: str) -> HttpRefused:
    """What is said of a body that is too large."""
    detail = f"At most {bytes_max} bytes are taken ({key}). Send many reports line by line to /v1/events."
    return HttpRefused(plain_problem(413, title="Content Too Large", detail=detail), anchor="content-too-large")
