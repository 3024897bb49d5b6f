"""Telling the merchant of retries that are due: signed webhooks, in the order of their instants, with backoff.

Delivered at least once: what was not answered with 2xx is sent again, and after a restart everything that still waits is. The
receiver tells repeats by `decision_id`. It checks the signature over the raw body and refuses what is old:

    Honour-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>" under retries.webhook_secret>
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from honour.outcomes.due import Place
from honour.serving import due, wire
from honour.serving.hot_path import Engine

LOOK_EVERY_S = 1.0
TOGETHER_MAX = 100
"""Retries in one body."""
WAIT_S_MAX = 300.0
"""Longest pause after failures; it starts with a second and doubles."""
TIMEOUT_S = 10.0
SIGNATURE = "Honour-Signature"

Send = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Sends a body to a URL with headers and gives the status; OSError or anything else it raises is a failure."""

_log = structlog.get_logger("honour")


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a webhook."""

    type: str
    due: tuple[due.DueRetry, ...]


class DuePush:
    """Looks every second for retries that have become due.

    send      HTTP by default
    clock_s   seconds since 1970, for the signature; pause_s counts seconds for the pauses between failures
    counted   deliveries by result: `delivered` and `failed`
    """

    def __init__(
        self,
        engine: Engine,
        *,
        send: Send | None = None,
        clock_s: Callable[[], float] = time.time,
        pause_s: Callable[[], float] = time.monotonic,
        dice: random.Random | None = None,
    ) -> None:
        self.counted = {"delivered": 0, "failed": 0}
        self._engine, self._send = engine, send or _post
        self._clock_s, self._pause_s, self._dice = clock_s, pause_s, dice or random.Random()
        self._told: Place | None = None
        self._failures, self._not_before_s = 0, 0.0

    async def forever(self) -> None:
        """Look until cancelled. What goes wrong is logged and tried again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                while await self.look():
                    pass
            except Exception as error:
                _log.error("retry_push_failed", error=type(error).__name__)

    async def look(self) -> bool:
        """Deliver what has become due, up to `TOGETHER_MAX`; True when something was delivered and more may be due."""
        told = self._engine.settings.retries
        if told.webhook_url is None or self._engine.why_not_ready is not None or self._pause_s() < self._not_before_s:
            return False
        found = self._engine.state.due.before(self._engine.now_us, after=self._told, n_max=TOGETHER_MAX)
        if not found or not self._engine.log.leads():
            return False
        body = wire.render(Pushed(type="retries.due", due=tuple(due.told(one) for one in found)))
        headers = {
            "content-type": "application/json",
            SIGNATURE: signature(body, secret=told.webhook_secret or "", at_s=int(self._clock_s())),
        }
        try:
            status, why = await self._send(told.webhook_url, body, headers), ""
        except Exception as error:  # Whatever the network does; the body is sent again.
            status, why = 0, type(error).__name__
        if not 200 <= status < 300:
            self._failed(status, why)
            return False
        self.counted["delivered"] += len(found)
        self._told, self._failures = found[-1].place, 0
        return True

    def _failed(self, status: int, why: str) -> None:
        pause_s = min(WAIT_S_MAX, 2.0**self._failures) * self._dice.uniform(0.5, 1.0)
        self._failures = min(self._failures + 1, 16)
        self._not_before_s = self._pause_s() + pause_s
        self.counted["failed"] += 1
        _log.warning("retry_push_refused", status=status, error=why, again_in_s=round(pause_s, 1))


def signature(body: bytes, *, secret: str, at_s: int) -> str:
    """Value of the signature header: when it was signed, and with what result.

    >>> signature(b"{}", secret="a secret of sixteen", at_s=1772366400)[:18]
    't=1772366400,v1=c7'
    """
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


async def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    import httpx  # Only those who push pay for it.

    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
        return (await client.post(url, content=body, headers=headers)).status_code
