"""A load generator on plain sockets: requests leave when they are due, whether or not the ones before were answered.

Open loop: latency counts from the instant at which a request was due, also when no connection was free then, so that a slow answer
makes those behind it slow as well instead of hiding them (coordinated omission). Closed loop: as fast as the service answers.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_NAME = b"HTTP/1.1 200"
_EARLY_S = 0.002
"""Before a request is due nothing is waited for any more, so that it leaves on time."""


class Timings(NamedTuple):
    """Seconds from due to answered, one per request, in the order of answers; how long it all took; answers other than 200."""

    latencies_s: list[float]
    wall_s: float
    n_refused: int


class _Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due_s = 0.0
        self._got = b""

    def send(self, request: bytes, *, due_s: float) -> None:
        self.due_s = due_s
        self.socket.send(request)

    def receive(self) -> tuple[bytes, bytes] | None:
        """Status line and body once the answer is whole."""
        self._got += self.socket.recv(262_144)
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return None
        if len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]):
            return None
        self._got = b""
        return head.split(b"\r\n", 1)[0], body


class Load:
    """Connections to one service, spread over the ports of its workers."""

    def __init__(self, host: str, *ports: int, n_connections: int) -> None:
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for number in range(n_connections):
            connection = _Connection(host, ports[number % len(ports)])
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self._free = deque(self._connections.values())

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()

    def open_loop(
        self, requests: Sequence[bytes], *, rate: float, follow: Callable[[bytes], bytes] | None = None, after_s: float = 0.05
    ) -> tuple[Timings, Timings]:
        """Send `requests` at `rate` a second; the timings of them, and of those that `follow` made of their answers.

        follow  body of an answer to another request, due `after_s` later: an outcome for a decision
        """
        start = time.perf_counter() + 0.05
        due: deque[tuple[float, bytes, bool]] = deque((start + at / rate, request, False) for at, request in enumerate(requests))
        later: deque[tuple[float, bytes, bool]] = deque()
        under_way: dict[int, bool] = {}
        timings: dict[bool, list[float]] = {False: [], True: []}
        refused = {False: 0, True: 0}
        while due or later or under_way:
            now = time.perf_counter()
            while self._free and (queue := _first(due, later)) is not None and queue[0][0] <= now:
                due_s, request, is_following = queue.popleft()
                connection = self._free.popleft()
                under_way[connection.socket.fileno()] = is_following
                connection.send(request, due_s=due_s)
            queue = _first(due, later) if self._free else None
            for connection, status, body in self._answers(wait_s=queue[0][0] - time.perf_counter() - _EARLY_S if queue else _EARLY_S):
                is_following = under_way.pop(connection.socket.fileno())
                now = time.perf_counter()
                timings[is_following].append(now - connection.due_s)
                refused[is_following] += not status.startswith(_NAME)
                if follow is not None and not is_following and status.startswith(_NAME):
                    later.append((now + after_s, follow(body), True))
        wall = time.perf_counter() - start
        return Timings(timings[False], wall, refused[False]), Timings(timings[True], wall, refused[True])

    def closed_loop(self, requests: Sequence[bytes], *, follow: Callable[[bytes], bytes] | None = None) -> Timings:
        """Send as fast as answers come, one request under way on each connection; every answer is followed first if `follow` is given."""
        waiting, timings, n_refused, under_way = deque(requests), [], 0, 0
        following: deque[bytes] = deque()
        start = time.perf_counter()
        while waiting or following or under_way:
            while self._free and (following or waiting):
                self._free[0].send(following.popleft() if following else waiting.popleft(), due_s=time.perf_counter())
                self._free.popleft()
                under_way += 1
            for connection, status, body in self._answers(wait_s=1.0):
                under_way -= 1
                timings.append(time.perf_counter() - connection.due_s)
                n_refused += not status.startswith(_NAME)
                if follow is not None and b'"ranking"' in body:
                    following.append(follow(body))
        return Timings(timings, time.perf_counter() - start, n_refused)

    def _answers(self, *, wait_s: float) -> Iterator[tuple[_Connection, bytes, bytes]]:
        """What came in, after a wait for the first of it; the kernel counts whole milliseconds, shorter waits are none."""
        for handle, _ in self._poll.poll(max(0.0, wait_s)):
            connection = self._connections[handle]
            if (answer := connection.receive()) is not None:
                self._free.append(connection)
                yield connection, *answer


def post(path: str, body: bytes) -> bytes:
    """The bytes of a POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: honour\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _first(*queues: deque[tuple[float, bytes, bool]]) -> deque[tuple[float, bytes, bool]] | None:
    """The queue whose head is due first."""
    return min((queue for queue in queues if queue), key=lambda queue: queue[0][0], default=None)
