"""Callers that ask when it is due, ask again when they are not answered, and remember all they were told.

An open loop: payments arrive at a fixed rate whatever the server does. Each asks for a decision, again after a pause until it is
answered or given up, sometimes a second time to see that it stands, and reports what came back.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

DEADLINE_MS = 2_000
GIVE_UP_S = 20.0
PAUSE_S = 0.2


@dataclass
class Told:
    """What callers were told.

    decisions  bodies by decision id; outcomes statuses by decision id, acknowledged ones only
    contradictions  decisions that were not the ones given before, and other answers that cannot be right
    answered_at  instants of answers, monotonic seconds
    first    answers to the first request of each payment by what they were: ok, fallback, overloaded, deadline-over, log-unavailable,
             connection, ...
    """

    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    n_late: int = 0
    n_given_up: int = 0
    n_fallback: int = 0
    n_reports_given_up: int = 0


class Callers:
    """Payments at `rate` a second at a port of this machine, until `stop`.

    cards  attempts of one card are limited: as many cards as make some reach their limit
    """

    def __init__(self, port: int, *, rate: float, cards: int, seed: int) -> None:
        self.told, self.rate = Told(), rate
        self._port, self._cards, self._dice = port, cards, random.Random(seed)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False
        self._n = 0

    async def run(self) -> None:
        """Payments as they are due, until `stop`."""
        due = time.monotonic()
        while not self._over:
            due += 1.0 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._over:
                return
            task = asyncio.create_task(self._pay(self._n))
            self._n += 1
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """No new payments; those under way go on to their end."""
        self._over = True
        while self._tasks:
            await asyncio.gather(*list(self._tasks))
        for _, writer in self._idle:
            writer.close()

    async def _pay(self, n: int) -> None:
        currency = self._dice.choice(("USD", "BRL"))
        body = {
            "payment": {
                "payment_id": f"pay_{n}",
                "merchant_id": "mer_1",
                "amount_minor": 20_000,
                "currency": currency,
                "card": self._card(),
            }
        }
        decision = await self._decision(body)
        if decision is None:
            return
        if decision["attempt"] is None:
            return
        if self._dice.random() < 0.2 and (again := await self._decision(body, counts=False)) is not None and again != decision:
            self.told.contradictions.append(f"{decision['payment_id']}: two decisions before an answer")
        await asyncio.sleep(0.05)
        said = {"decision_id": decision["decision_id"], "status": "declined", "response_code": "51"}
        status = await self._until_taken("/v1/outcomes", said)
        if status == 200:
            self.told.outcomes[decision["decision_id"]] = "declined"
        elif status == 0:
            self.told.n_reports_given_up += 1
        else:
            self.told.contradictions.append(f"{decision['decision_id']}: a report was answered {status}")

    def _card(self) -> dict[str, str]:
        return {"card_id": f"crd_{self._dice.randrange(self._cards)}", "bin": "411111", "network": "visa"}

    async def _decision(self, body: dict[str, Any], *, counts: bool = True) -> dict[str, Any] | None:
        began, is_first = time.monotonic(), counts
        while time.monotonic() - began < GIVE_UP_S:
            status, answer = await self.ask("/v1/decisions", json.dumps(body).encode())
            if is_first:
                kind = ("fallback" if answer["stage"] == "fallback" else "ok") if status == 200 else _kind(status, answer)
                self.told.first[kind] = self.told.first.get(kind, 0) + 1
            if status == 200:
                self._keep(answer, is_late=counts and not is_first)
                return answer
            if status not in (0, 429, 503):
                self.told.contradictions.append(f"a decision was answered {status}: {answer.get('detail')}")
                return None
            is_first = False
            await asyncio.sleep(PAUSE_S)
        self.told.n_given_up += counts
        return None

    def _keep(self, answer: dict[str, Any], *, is_late: bool) -> None:
        self.told.answered_at.append(time.monotonic())
        self.told.n_late += is_late
        self.told.n_fallback += answer["stage"] == "fallback"
        known = self.told.decisions.setdefault(answer["decision_id"], answer)
        if known != answer:
            self.told.contradictions.append(f"{answer['decision_id']}: two contents under one id")

    async def _until_taken(self, path: str, body: dict[str, Any]) -> int:
        began = time.monotonic()
        while time.monotonic() - began < GIVE_UP_S:
            status, _ = await self.ask(path, json.dumps(body).encode())
            if status not in (0, 429, 503):
                return status
            await asyncio.sleep(PAUSE_S)
        return 0

    async def ask(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 when the connection failed or nothing came in time. One that the server had closed is made anew."""
        request = (
            f"POST {path} HTTP/1.1\r\nHost: honour\r\nContent-Type: application/json\r\nHonour-Deadline-Ms: {DEADLINE_MS}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        while self._idle and self._idle[-1][0].at_eof():
            self._idle.pop()[1].close()
        try:
            async with asyncio.timeout(2 * DEADLINE_MS / 1_000):
                reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
                answer = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            return 0, {}
        self._idle.append((reader, writer))
        return int(head[9:12]), json.loads(answer)


def _kind(status: int, answer: dict[str, Any]) -> str:
    return "connection" if status == 0 else str(answer.get("type", "")).rpartition("#")[2] or str(status)
