"""What a server and the process of a challenger say to each other: MessagePack, with its length in front."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec

from honour.networks.retry_limit import Allowed
from honour.policy.outlook import History
from honour.records.event import ServedFeatures, ShadowDecided
from honour.records.payment import Payment
from honour.records.settings import Settings

FRAME_BYTES_MAX = 4_194_304
_LENGTH = struct.Struct(">I")


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """First of all: the settings in force, and the bundle by its folder and id."""

    settings: Settings
    folder: str
    bundle_id: str


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """The bundle is loaded."""


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A decision that was made.

    candidates  as they were considered: route, authentication, credential, and why it is not eligible
    shifts      log-odds by which the fast layer corrected the bundle that decided, of each eligible candidate
    follows     log-odds by which what follows a refusal of each was corrected; None when it was not
    sd          standard deviation of what was not known of each; None when nothing said
    """

    decision_id: str
    payment: Payment
    at_us: int
    draw: float
    features: ServedFeatures
    candidates: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    shifts: tuple[float, ...]
    follows: tuple[float, ...] | None
    sd: tuple[float, ...] | None
    allowed: Allowed
    history: History


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The challenger could not say: the kind of what was raised."""

    decision_id: str
    error: str


def _plain(value: Any) -> Any:
    """A mapping that nobody may change, as one that MessagePack knows."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"a frame holds no {type(value).__name__}")


Sent = Begin | Ask
_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_answer: msgspec.msgpack.Decoder[Begun | Failed | ShadowDecided] = msgspec.msgpack.Decoder(Begun | Failed | ShadowDecided)
_sent: msgspec.msgpack.Decoder[Sent] = msgspec.msgpack.Decoder(Sent)


def framed(value: Any) -> bytes:
    """A frame."""
    body = _encoder.encode(value)
    return _LENGTH.pack(len(body)) + body


def answer_in(buffer: bytearray) -> Begun | Failed | ShadowDecided | None:
    """The first answer in a buffer, taken out of it; None while it is not there whole. ValueError when it is none of ours."""
    if len(buffer) < _LENGTH.size:
        return None
    n_bytes = _LENGTH.unpack_from(buffer)[0]
    if n_bytes > FRAME_BYTES_MAX:
        raise ValueError("a frame of more bytes than an answer has")
    if len(buffer) < _LENGTH.size + n_bytes:
        return None
    body = bytes(buffer[_LENGTH.size : _LENGTH.size + n_bytes])
    del buffer[: _LENGTH.size + n_bytes]
    return _answer.decode(body)


def read_sent(stream: BinaryIO) -> Sent | None:
    """What comes next; None at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return _sent.decode(stream.read(_LENGTH.unpack(head)[0]))
