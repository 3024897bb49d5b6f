"""Rows: what the event log needs of a database. One implementation for each, and one `SharedLog` over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

BATCH = 5_000
"""Rows read at a time, and events of one commit of a bulk import."""

Row = tuple[int, int, str, str | None, str | None, str]
"""seq, arrived_us, kind, payment_id, key and body of an event."""
Stored = tuple[int, int, str | bytes]
"""seq, arrived_us and body."""


class Rows(Protocol):
    """Where the events are. Every method raises LogUnavailable for what another try may mend, LogContractBroken for what it will not.

    name  for messages
    """

    name: str

    @property
    def is_away(self) -> bool:
        """They cannot be reached, and something nearer takes their place for a while."""
        ...

    @property
    def n_journaled(self) -> int:
        """Events that only that place holds."""
        ...

    def open(self) -> None:
        """Connect; make what is not there, check what is."""
        ...

    def close(self) -> None:
        """Let go of the connections; may be opened again."""
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """All of them, durable on return, or none. By one thread, while others read."""
        ...

    def probe(self) -> None:
        """Write something as large as an event and take it away."""
        ...

    def end(self) -> tuple[int, int]:
        """Position and arrival time of the last event; zeros when there is none."""
        ...

    def after(self, seq: int, *, n_max: int) -> list[Stored]:
        """Durable events after a position, in order."""
        ...

    def of_payment(self, payment_id: str) -> list[Stored]:
        """Durable events of one payment, in order."""
        ...

    def of_key(self, key: str) -> Stored | None:
        """The durable event with this key."""
        ...

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that durable events have."""
        ...

    def scan(self, after_seq: int) -> Iterator[Stored]:
        """Events after a position that are durable when the reading starts, in order, on a connection of its own."""
        ...
