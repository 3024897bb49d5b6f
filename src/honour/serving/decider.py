"""What decides: the live bundle, and for a share of the payments a canary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import NamedTuple

from honour.approval.retry_model import RetryModel
from honour.networks.retry_limit import Allowed
from honour.outcomes.stages import Stages, began_us
from honour.policy.eligible import Considered
from honour.policy.outlook import History, Predicted
from honour.records.event import DecisionMade
from honour.records.payment import Payment
from honour.serving.score import Model, Scorer

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # In the order of the digits.


class Seen(NamedTuple):
    """A decision, and what it was made from beside the event; what was thought of the eligible candidates, None where nothing could say."""

    made: DecisionMade
    considered: Sequence[Considered]
    allowed: Allowed
    history: History
    predicted: Predicted | None


class Decider:
    """A bundle as it decides. What it takes and how it fails is known of each on its own: a slow canary slows nobody else.

    bundle_id    None where there is no bundle: the static order decides
    model        P(approve); None answers in the static order
    retry_model  what follows a refusal; None looks no further than one attempt
    """

    def __init__(self, bundle_id: str | None, model: Model | None, retry_model: RetryModel | None, *, scorer: Scorer) -> None:
        self.bundle_id, self.model, self.retry_model, self.scorer = bundle_id, model, retry_model, scorer


def canary_of(stages: Stages, payment: Payment, *, first_us: int | None, at_us: int, salt: str) -> str | None:
    """The bundle of the canary if this payment falls to it, for all of its life; None if not, or if there is none.

    first_us  instant of the payment's first attempt, or None
    """
    if (canary := stages.canary) is None:
        return None
    share = canary.share_of(began_us(payment, first_us=first_us, at_us=at_us))
    return canary.bundle if place_of(payment.payment_id, salt=salt, bundle_id=canary.bundle) < share else None


def place_of(payment_id: str, *, salt: str, bundle_id: str) -> float:
    """Where a payment stands between 0 and 1, uniform and the same in every process: a salted hash. Each canary deals anew."""
    digest = blake2b(payment_id.encode(), key=_key(salt, bundle_id), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


@lru_cache(maxsize=8)
def _key(salt: str, bundle_id: str) -> bytes:
    return blake2b(f"canary\x1f{salt}\x1f{bundle_id}".encode(), digest_size=32).digest()


def decision_id_of(payment_id: str, *, seq: int, at_us: int, salt: str) -> str:
    """The name of a decision: its millisecond, so that names given together stand together in the log's index, then a keyed hash.

    Letters only: one in a thousand ids with digits would hold what passes for a card number.
    """
    digest = blake2b(f"{payment_id}\x1f{seq}".encode(), key=_id_key(salt), digest_size=10).hexdigest()
    return f"dec_{f'{max(0, at_us) // 1_000:012x}{digest}'.translate(_LETTERS)}"


@lru_cache(maxsize=8)
def _id_key(salt: str) -> bytes:
    return sha256(salt.encode()).digest()
