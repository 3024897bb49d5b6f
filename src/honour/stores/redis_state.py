"""The shared online state in Redis or Valkey: one key an entity, and one that says where in the log all of them stand.

Reading is one MGET. Writing is one script, which Redis runs whole or not at all: it sets what it is given if the state stands where the
writer thought, and says where it stands. The script knows nothing of features. Keys begin with the hash of the catalogue: another
catalogue finds an empty state. A key goes when it could not be needed any more, a day after its longest window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from honour.errors import BadSettings, StateAway
from honour.features.shared import Found, Kept

_WRITE: Final = """
local stands_at = tonumber(redis.call('GET', KEYS[1]) or '0')
if stands_at ~= tonumber(ARGV[1]) then return stands_at end
for at = 2, #KEYS do
  redis.call('SET', KEYS[at], ARGV[2 * at - 1], 'EX', ARGV[2 * at])
end
redis.call('SET', KEYS[1], ARGV[2])
return tonumber(ARGV[2])
"""
_CLEARED_AT_ONCE: Final = 1_000


class RedisState:
    """The state at an address such as redis://host:6379/0 or rediss://user:password@host:6380/0.

    schema   content hash of the catalogue
    limit_s  seconds without an answer after which it counts as away
    """

    def __init__(self, address: str, *, schema: str, limit_s: float) -> None:
        try:
            import redis  # The extra `redis`: an installation without a shared state does without it.
        except ImportError:
            raise BadSettings(f"data.state is {_shown(address)}, which needs the redis package: pip install 'honour[redis]'.") from None
        self._shown, self._lost = _shown(address), (redis.RedisError, OSError)
        self._prefix = f"honour:{schema.removeprefix('sha256:')[:16]}:"
        try:
            self._redis: Any = redis.Redis.from_url(address, socket_timeout=limit_s, socket_connect_timeout=limit_s, retry=None)
        except ValueError as error:
            raise BadSettings(f"data.state: {error}. Give an address such as redis://127.0.0.1:6379/0.") from None
        self._script = self._redis.register_script(_WRITE)

    def read(self, names: Sequence[str]) -> Found:
        """One MGET."""
        try:
            stands_at, *values = self._redis.mget([f"{self._prefix}stands_at", *(f"{self._prefix}{name}" for name in names)])
        except self._lost as error:
            raise self._away(error) from None
        return Found(int(stands_at or 0), values)

    def write(self, values: Mapping[str, Kept], *, after: int, seq: int) -> int:
        """One script."""
        keys = [f"{self._prefix}stands_at", *(f"{self._prefix}{name}" for name in values)]
        given: list[Any] = [after, seq]
        for kept in values.values():
            given += kept
        try:
            return int(self._script(keys=keys, args=given))
        except self._lost as error:
            raise self._away(error) from None

    def clear(self) -> None:
        """Drop every key of this catalogue, a thousand at a time."""
        try:
            self._redis.delete(f"{self._prefix}stands_at")
            batch: list[Any] = []
            for key in self._redis.scan_iter(match=f"{self._prefix}*", count=_CLEARED_AT_ONCE):
                batch.append(key)
                if len(batch) == _CLEARED_AT_ONCE:
                    self._redis.unlink(*batch)
                    batch.clear()
            if batch:
                self._redis.unlink(*batch)
        except self._lost as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> StateAway:
        return StateAway(f"{self._shown} does not answer ({type(error).__name__}).")


def _shown(address: str) -> str:
    """The address without user and password."""
    kind, separator, rest = address.partition("://")
    return f"{kind}{separator}{rest.rpartition('@')[2]}"
