"""HTTP for POSTs of one record, from the parser's callbacks to one write, with no task, scope or coroutine for each (docs/adr/0015).

uvicorn's own protocol does the rest: every other request, TLS, timeouts, pipelined requests, a graceful end. It asks its cycle how far
a request is; `_Direct` is the cycle of one that is answered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from honour.serving import wire
from honour.serving.app import Service
from honour.serving.body import check_length, too_large
from honour.serving.posts import PATHS, Asked, Path, UnderWay
from honour.serving.wire import Problem

_PATHS: dict[bytes, Path] = {path.encode(): path for path in PATHS}


def protocol_of(service: Service) -> Callable[..., HttpToolsProtocol]:
    """What uvicorn makes for each connection to this service."""
    return partial(Protocol, service)


class _Direct:
    """A request that is answered here, as far as uvicorn's protocol asks about it."""

    __slots__ = ("asked", "began_ns", "body", "disconnected", "keep_alive", "message_event", "path", "response_complete", "under_way")

    def __init__(self, path: Path, *, began_ns: int, keep_alive: bool) -> None:
        self.path, self.began_ns, self.keep_alive = path, began_ns, keep_alive
        self.asked: Asked | None = None
        self.body = b""
        self.under_way: UnderWay | None = None
        self.message_event = _NOBODY_WAITS
        self.disconnected = self.response_complete = False


class Protocol(HttpToolsProtocol):
    """One connection."""

    cycle: Any

    def __init__(self, service: Service, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._service = service
        self._told: list[tuple[bytes, bytes]] = []
        self._head = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """What has not had its turn yet is not done: nobody waits for it."""
        cycle = self.cycle
        if type(cycle) is _Direct and cycle.under_way is not None:
            cycle.under_way.forget()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins; what ASGI wants of it is made when it is known to go there."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Answer here what is a POST of one record, alone on its connection; hand everything else on."""
        path = _PATHS.get(self.url)
        cycle, parser = self.cycle, self.parser
        if (
            path is None
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or parser.should_upgrade()
            or not (cycle is None or cycle.response_complete)
        ):
            self._hand_on()
            return
        service = self._service
        self.cycle = direct = _Direct(path, began_ns=service.now_ns(), keep_alive=parser.should_keep_alive())
        try:
            headers = dict(self.headers)
            direct.asked = service.begin(path, headers)
            check_length(headers, bytes_max=service.body_bytes_max, key="serving.body_bytes_max")
        except Exception as error:  # The last line: every error leaves as a problem document.
            self._refuse(direct, error)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        direct = self.cycle
        if type(direct) is not _Direct:
            super().on_body(body)
        elif not direct.response_complete:
            direct.body = direct.body + body if direct.body else body
            if len(direct.body) > self._service.body_bytes_max:
                self._refuse(direct, too_large(self._service.body_bytes_max, key="serving.body_bytes_max"))

    def on_message_complete(self) -> None:
        """The body is whole."""
        direct = self.cycle
        if type(direct) is not _Direct:
            super().on_message_complete()
        elif not direct.response_complete:
            assert direct.asked is not None
            direct.under_way = self._service.answer(
                direct.path, direct.body, direct.asked, began_ns=direct.began_ns, tell=partial(self._tell, direct)
            )

    def _hand_on(self) -> None:
        """To uvicorn, which prepares at the beginning of a request what is only now known to be needed."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _refuse(self, direct: _Direct, error: Exception) -> None:
        """Answer before the body is whole: what is left of it is read and dropped."""
        service = self._service
        service.metrics.took(direct.path, (service.now_ns() - direct.began_ns) / 1e9)
        self._tell(direct, service.problem_of(error))

    def _tell(self, direct: _Direct, answer: bytes | Problem) -> None:
        """Send the answer, in one write."""
        if direct.response_complete:
            return
        direct.response_complete = True
        if self.transport.is_closing():
            return
        ok = not isinstance(answer, Problem)
        body = answer if isinstance(answer, bytes) else wire.render(answer)
        if self._told is not self.server_state.default_headers:  # uvicorn makes them anew once a second, with the date.
            self._told = self.server_state.default_headers
            self._head = b"".join(b"%b: %b\r\n" % header for header in self._told)
        parts = [
            STATUS_LINE[200] if ok else STATUS_LINE[answer.status],  # type: ignore[union-attr]  # a Problem unless it is ok
            self._head,
            b"content-type: application/json\r\n" if ok else b"content-type: application/problem+json\r\n",
            b"content-length: %d\r\n" % len(body),
        ]
        if isinstance(answer, Problem):
            parts += [f"{name}: {value}\r\n".encode() for name, value in wire.headers_of(answer).items()]
        if not direct.keep_alive:
            parts.append(b"connection: close\r\n")
        self.transport.write(b"".join((*parts, b"\r\n", body)))
        if not direct.keep_alive:
            self.transport.close()
        self.on_response_complete()


_NOBODY_WAITS = asyncio.Event()
