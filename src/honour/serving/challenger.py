"""The process of a bundle in shadow: it is asked about decisions that were made, and says what it would have done.

python -m honour.serving.challenger    frames in on standard input, frames out on standard output (`serving.frames`)

It runs after everything else on the machine (nice, first to be ended when memory is short) and within `release.shadow_bytes_max`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from honour.errors import LogContractBroken
from honour.policy.decide import Decided, decide
from honour.policy.eligible import Considered
from honour.policy.outlook import Predicted
from honour.policy.plan import warm
from honour.records.event import ShadowDecided
from honour.records.instant import from_us
from honour.records.route import Authentication, Candidate, CredentialForm
from honour.records.settings import Settings
from honour.release.bundle import Bundle
from honour.release.store import BundleStore
from honour.serving.frames import Ask, Begin, Begun, Failed, framed, read_sent

_LOGIT_MAX = 15.0
_PR_SET_PDEATHSIG = 1


def main(told: BinaryIO, out: BinaryIO) -> None:
    """The whole process: step behind everything else on the machine, for good, and answer until the end of what is told."""
    begin = read_sent(told)
    if isinstance(begin, Begin):
        _stand_back(begin.settings.release.shadow_bytes_max)
        answer(begin, told, out)


def answer(begin: Begin, told: BinaryIO, out: BinaryIO) -> None:
    """Say that it has begun, then what the bundle would have done of each decision that is told."""
    bundle = BundleStore(Path(begin.folder)).load(begin.bundle_id)
    warm(bundle.retry_model, year=datetime.now(tz=UTC).year)
    _say(out, Begun())
    settings = begin.settings
    while (asked := read_sent(told)) is not None:
        if isinstance(asked, Begin):
            settings = asked.settings
            continue
        try:
            _say(out, would_have(asked, bundle=bundle, settings=settings))
        except Exception as error:  # Whatever it is: it is the challenger's, and is counted there.
            _say(out, Failed(asked.decision_id, type(error).__name__))


def would_have(asked: Ask, *, bundle: Bundle, settings: Settings) -> ShadowDecided:
    """What the bundle would have decided: the same question, draw and rules, its own probabilities, corrected as the other's were."""
    began_ns = time.perf_counter_ns()
    routes = {route.id: route for route in settings.routes}
    considered = [
        Considered(Candidate(route, cast(Authentication, authentication), cast(CredentialForm, credential)), routes[route], reasons)
        for route, authentication, credential, reasons in asked.candidates
    ]
    p_model = bundle.model.predict_many(asked.features)
    if p_model.shape != (len(asked.shifts),) or not np.all((p_model >= 0.0) & (p_model <= 1.0)):
        raise LogContractBroken("the model gave something that is no probability of each candidate.")
    sd = np.array(asked.sd) if asked.sd is not None else None
    predicted = Predicted(shifted(p_model, np.array(asked.shifts)), p_model, sd, None, asked.follows)
    decided = decide(
        asked.payment,
        considered=considered,
        predicted=predicted,
        terms=settings.terms_of(asked.payment.merchant_id),
        allowed=asked.allowed,
        history=asked.history,
        fallback_order=settings.policy.fallback_order,
        draw=asked.draw,
        at_us=asked.at_us,
        retry_model=bundle.retry_model,
    )
    return _told(asked, decided, bundle_id=bundle.bundle_id, took_us=(time.perf_counter_ns() - began_ns) // 1_000)


def shifted(p: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities (n,) with their log-odds moved by (n,)."""
    within = np.clip(p, 1e-9, 1.0 - 1e-9)
    moved: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(np.log(within / (1.0 - within)) + by, -_LOGIT_MAX, _LOGIT_MAX)))
    return np.where(by == 0.0, p, moved)


def _told(asked: Ask, decided: Decided, *, bundle_id: str, took_us: int) -> ShadowDecided:
    return ShadowDecided(
        payment_id=asked.payment.payment_id,
        decision_id=asked.decision_id,
        bundle=bundle_id,
        action=decided.action,
        attempt=decided.chosen,
        wait_until=from_us(decided.wait_until_us) if decided.wait_until_us is not None else None,
        reason=decided.reason,
        ranking=tuple(one for one in decided.ranking if one.eligible),
        took_us=took_us,
    )


def _stand_back(bytes_max: int) -> None:
    os.nice(10)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # It ends with the server, however that ends.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_DATA, (bytes_max, bytes_max))


def _say(out: BinaryIO, value: object) -> None:
    out.write(framed(value))
    out.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
