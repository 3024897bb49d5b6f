"""API keys: made once, kept as salted hashes, compared in constant time.

A key is `honour_<id>_<secret>`, sent as `Authorization: Bearer <key>`. Its secret part has 192 random bits, so a fast hash keeps it: there
is nothing to guess. Letters only, so that no key looks like a card number.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from ipaddress import ip_address
from typing import NamedTuple

import msgspec

from honour.errors import BadSettings, KeyRefused, NotPermitted
from honour.records.api_key import EVERY_MERCHANT, ApiKey, Scope
from honour.records.settings import Settings

_PREFIX = "honour_"
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_BYTES = str.maketrans("ghijklmnop", "0123456789")
_NOBODY = f"{'a' * 32}:{'a' * 64}"
"""Compared with when no key has the id, so that both refusals take the same time."""


class Holder(NamedTuple):
    """Who asks.

    merchants  for whom it may act; None is every merchant
    per_s_max  requests a second that it may make; None: any number
    """

    name: str
    scopes: frozenset[Scope]
    merchants: frozenset[str] | None
    per_s_max: int | None = None

    def acts_for(self, merchant_id: str) -> bool:
        """Whether it may read and move this merchant's state."""
        return self.merchants is None or merchant_id in self.merchants

    def check_merchant(self, merchant_id: str) -> None:
        """Raise NotPermitted when it may not act for this merchant."""
        if not self.acts_for(merchant_id):
            raise NotPermitted(f"key {self.name!r} may not act for merchant {merchant_id!r}. Use that merchant's key.")


ANYBODY = Holder("", frozenset(("decide", "report", "read", "administer")), None)
"""Who asks where no key is required."""


class KeyRing:
    """The keys of the settings in force, read anew when they change.

    host  address the service listens on: keys are required where others can reach it
    """

    def __init__(self, *, host: str) -> None:
        self._is_local = is_loopback(host)
        self._keys: tuple[ApiKey, ...] = ()
        self._by_id: dict[str, tuple[ApiKey, Holder]] = {}

    def holder(self, headers: Mapping[bytes, bytes], *, settings: Settings, scope: Scope, every_merchant: bool = False) -> Holder:
        """Who asks; KeyRefused without a key that is known, NotPermitted when it may not do this.

        every_merchant  what is asked for cannot be told apart by merchant
        """
        if not self.is_required(settings):
            return ANYBODY
        found = self._found(headers.get(b"authorization", b"").decode("latin-1"), settings)
        if found is None:
            raise KeyRefused(
                "no key, or one that is not known. Send the header `Authorization: Bearer <key>`; `honour keys new` makes one."
            )
        if scope not in found.scopes:
            raise NotPermitted(f"key {found.name!r} may {', '.join(sorted(found.scopes))}; this asks for {scope!r}.")
        if every_merchant and found.merchants is not None:
            raise NotPermitted(
                f"key {found.name!r} acts for some merchants; this tells of all of them and asks for a key with merchant '*'."
            )
        return found

    def is_required(self, settings: Settings) -> bool:
        """Whether requests need a key: where others can reach the service, where there are keys, or as the settings say."""
        said = settings.serving.keys_required
        return said if said is not None else bool(settings.serving.keys) or not self._is_local

    def _found(self, sent: str, settings: Settings) -> Holder | None:
        if settings.serving.keys is not self._keys:
            self._keys = settings.serving.keys
            self._by_id = {one.id: (one, _holder_of(one)) for one in self._keys}
        kind, _, key = sent.partition(" ")
        key_id, _, secret = key.strip().removeprefix(_PREFIX).partition("_")
        known = self._by_id.get(key_id)
        is_right = hmac.compare_digest(_digest(secret, like=known[0].digest if known else _NOBODY), known[0].digest if known else _NOBODY)
        return known[1] if known is not None and is_right and kind.lower() == "bearer" else None


def new_key(name: str, *, scopes: Sequence[Scope], merchants: Sequence[str], per_s_max: int | None = None) -> tuple[str, ApiKey]:
    """A new key, to be told once, and what is kept of it."""
    key_id, secret, salt = (secrets.token_hex(n).translate(_LETTERS) for n in (4, 24, 16))
    digest = _digest(secret, like=f"{salt}:")
    kept = ApiKey(name=name, id=key_id, digest=digest, scopes=tuple(scopes), merchants=tuple(merchants), per_s_max=per_s_max)
    return f"{_PREFIX}{key_id}_{secret}", kept


def without_secrets(settings: Settings) -> Settings:
    """The settings as the log and callers may see them: salts, keys of signatures and digests of API keys are secrets, and
    the addresses of the log, the shared state and the registry may hold one."""
    replace = msgspec.structs.replace
    keys = tuple(replace(one, digest=_NOBODY) for one in settings.serving.keys)
    return replace(
        settings,
        data=replace(settings.data, log=None, state=None),
        policy=replace(settings.policy, salt=""),
        stream=replace(settings.stream, key=None, kafka={}),
        retries=replace(settings.retries, webhook_secret=None),
        registry=replace(settings.registry, uri=None),
        serving=replace(settings.serving, keys=keys),
    )


def check_reachable(settings: Settings, *, host: str) -> None:
    """Raise BadSettings before anybody could ask a service without keys from another machine."""
    if not (is_loopback(host) or settings.serving.keys or settings.serving.keys_required is not None):
        raise BadSettings(
            f"serving.keys: none, and {host} can be reached from other machines. Make one with `honour keys new`, or say "
            "serving.keys_required = false if something in front of the service checks who asks."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("::1"), is_loopback("honour.example")
    (True, True, False, True, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _holder_of(key: ApiKey) -> Holder:
    return Holder(key.name, frozenset(key.scopes), None if EVERY_MERCHANT in key.merchants else frozenset(key.merchants), key.per_s_max)


def _digest(secret: str, *, like: str) -> str:
    """Salt and hash of a secret, with the salt of `like`."""
    salt = like.partition(":")[0]
    hashed = blake2b(secret.encode(), salt=bytes.fromhex(salt.translate(_BYTES)), digest_size=32)
    return f"{salt}:{hashed.hexdigest().translate(_LETTERS)}"
