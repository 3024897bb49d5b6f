"""API keys as the settings hold them: who may do what, for which merchants. The key itself is written nowhere."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.payment import Identifier

Scope = Literal["decide", "report", "read", "administer"]
"""What a key may do: ask for decisions; report outcomes, attempts, disputes; read payments, and the counters of all; see the settings."""

EVERY_MERCHANT = "*"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one key; `honour keys new` makes it.

    name       says whose it is, unique
    id         public part of the key, by which it is found
    digest     salt and hash of the secret part
    scopes     what it may do
    merchants  for whom; "*" is every merchant
    per_s_max  requests a second that it may make, a second's worth at once; None: as many as the service can answer
    """

    name: Identifier
    id: Annotated[str, msgspec.Meta(pattern="^[a-z]{8}$")]
    digest: Annotated[str, msgspec.Meta(pattern="^[a-z]{32}:[a-z]{64}$")]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    merchants: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1)]
    per_s_max: Annotated[int, msgspec.Meta(ge=1)] | None = None
