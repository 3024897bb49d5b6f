"""The manifest of a bundle: what it is, its model card, and the hash of every file."""

from __future__ import annotations

import hashlib

import msgspec

from honour.approval.card import Training
from honour.features.catalogue import SCHEMA_ID

FORMAT = 2
"""Layout of a bundle folder; raised when an older Honour could not read a newer folder."""

PARITY_TOLERANCE = 1e-5


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """manifest.json. `bundle_id` is the SHA-256 of everything else in it; files holds the SHA-256 of every other file.

    fallback_order  route ids in the settings at training, to try in order when no model can score; the salt is a secret and not here
    """

    format: int = FORMAT
    bundle_id: str = ""
    honour: str
    schema: str = SCHEMA_ID
    training: Training
    fallback_order: tuple[str, ...]
    parity_tolerance: float = PARITY_TOLERANCE
    files: dict[str, str]


def sha256(content: bytes) -> str:
    """`sha256:` and the hexadecimal digest.

    >>> sha256(b"")[:15]
    'sha256:e3b0c442'
    """
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def id_of(manifest: Manifest) -> str:
    """The bundle_id that belongs to the content of `manifest`."""
    said = msgspec.json.encode(msgspec.structs.replace(manifest, bundle_id=""), order="deterministic")
    # As it will be read: an integer in a field of floats becomes a float.
    return sha256(msgspec.json.encode(msgspec.json.decode(said, type=Manifest), order="deterministic"))
