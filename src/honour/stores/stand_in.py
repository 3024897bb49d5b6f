"""Going on while the shared log is away: one server decides and reports into a journal of its own (docs/adr/0013).

Of all servers the one that leads stands in: it writes what it is given, durably, to a file on its disk, and forwards it in order when
the log is back, before anybody else may append. The others refuse meanwhile, so that who asks is sent to the one that stands in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from honour.errors import LogAway, LogUnavailable
from honour.stores.journal import Journal
from honour.stores.postgres import PostgresRows, PostgresTurn
from honour.stores.rows import Row, Stored

LOOK_EVERY_S = 0.1
"""Between two looks whether the log is back."""
LEAD_EVERY = 5
"""Looks between two tries to lead, when nobody does."""
HOLD_S = 5.0
"""A server that itself lost the log waits this long for the one that stood in, before it goes on without what that one has."""
AT_ONCE = 500
"""Events forwarded in one commit."""
_NAME = "stand_in"

_log = structlog.get_logger("honour")


class StandIn:
    """`Rows` of a log in PostgreSQL with a journal beside it in `folder`. `turn` is the turn that belongs to them.

    hold_s  as HOLD_S
    """

    def __init__(self, rows: PostgresRows, turn: PostgresTurn, *, folder: Path, hold_s: float = HOLD_S) -> None:
        self.name = rows.name
        self._rows, self.shared_turn, self._hold_s = rows, turn, hold_s
        self._journal = Journal(folder)
        self._lock = threading.RLock()  # Guards everything below; held while the journal is written.
        self._is_open = self._is_away = self._is_taken = self._has_led = self._has_moved = False
        self._session = 0
        self._moved: str | None = None
        self._end = (0, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_forever, name="event-log-stand-in", daemon=True)
        self.turn = StandInTurn(self)

    @property
    def is_away(self) -> bool:
        """The shared log is away, and the journal takes its place."""
        return self._is_away

    @property
    def n_journaled(self) -> int:
        """Events that only the journal holds."""
        return self._journal.n

    def open(self) -> None:
        """Connect, and forward what a journal of before still holds. In a turn."""
        with self._lock:
            if self._is_away:
                self._journal.reopen()
                return
        self._rows.open()
        self._greet_until_heard()
        while self._has_led and self._forward():
            pass
        with self._lock:
            self._end = self._rows.end()
            self._is_open, self._moved, self._has_moved = True, None, False
        if not self._thread.is_alive() and not self._over.is_set():
            self._thread.start()

    def close(self) -> None:
        """Let go of the sessions that look."""
        self._rows.close()

    def write(self, rows: Sequence[Row]) -> None:
        """Durable in the shared log, or in the journal while that is away."""
        with self._lock:
            self._check_not_moved()
            if self._is_away:
                self._journal.write(rows)
                self._end = rows[-1][:2]
                return
        try:
            self._rows.write(rows)
        except LogUnavailable as error:
            with self._lock:
                self._go_on_alone(error)
                self._journal.write(rows)  # Whether the log has them is not known; it is seen when they are forwarded.
                self._end = rows[-1][:2]
            return
        with self._lock:
            self._end = max(self._end, rows[-1][:2])

    def probe(self) -> None:
        """Write something as large as an event and take it away."""
        if self._is_away:
            self._journal.probe()
        else:
            self._rows.probe()

    def end(self) -> tuple[int, int]:
        """Position and arrival time of the last event."""
        if not self._is_away:
            try:
                self._end = self._rows.end()
            except LogUnavailable as error:
                with self._lock:
                    self._go_on_alone(error)
        return self._end

    def after(self, seq: int, *, n_max: int) -> list[Stored]:
        """Durable events after a position, in order."""
        if not self._is_away:
            try:
                rows = self._rows.after(seq, n_max=n_max)
            except LogUnavailable as error:
                with self._lock:
                    self._go_on_alone(error)
            else:
                if rows:
                    self._end = max(self._end, (rows[-1][0], rows[-1][1]))
                return rows
        if seq >= self._end[0]:
            return []
        found = self._journal.after(seq, n_max=n_max)
        if not found or found[0][0] != seq + 1:
            raise LogUnavailable(f"{self.name}: away, and events from {seq + 1} on were not seen here before.")
        return found

    def of_payment(self, payment_id: str) -> list[Stored]:
        """Durable events of one payment, in order."""
        self._check_there()
        return self._rows.of_payment(payment_id)

    def of_key(self, key: str) -> Stored | None:
        """The durable event with this key."""
        if self._is_away and (found := self._journal.of_key(key)) is not None:
            return found
        self._check_there()
        return self._rows.of_key(key)

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that durable events have."""
        self._check_there()
        return self._rows.known(keys)

    def scan(self, after_seq: int) -> Iterator[Stored]:
        """Events after a position that are durable when the reading starts, in order."""
        self._check_there()
        return self._rows.scan(after_seq)

    def take(self, *, wait: bool) -> bool:
        """Have the turn: of the shared log, or, while that is away, of the journal, which is nobody else's."""
        with self._lock:
            self._check_not_moved()
            if self._is_away:
                self._is_taken = True
                return True
        try:
            taken = self.shared_turn.take(wait=wait)
            if taken and self._is_open and self.shared_turn.n_sessions != self._session:
                self._greet_until_heard()
        except LogUnavailable as error:
            self._leave_room()
            with self._lock:
                self._go_on_alone(error)
                self._is_taken = True
            return True
        self._is_taken = taken
        return taken

    def give(self) -> None:
        """Let the next one have the turn."""
        with self._lock:
            self._is_taken = False
            if self._is_away:
                return
        self.shared_turn.give()

    def leads(self) -> bool:
        """Whether this process does what only one should do; nobody does while the log is away."""
        return not self._is_away and self._moved is None and self._has_led and self.shared_turn.leads()

    def end_all(self) -> None:
        """Stop looking and let go of everything; when nothing is left in the journal, another one may stand in."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._has_led and not self._is_away and self.shared_turn.line.is_open:
            with suppress(LogUnavailable):
                self._rows.note(_NAME, None)
        self.shared_turn.close()
        self._journal.close()

    def _check_there(self) -> None:
        if self._is_away:
            raise LogAway(f"{self.name} is away: what it holds cannot be looked up. Decisions and outcomes go on; send this again later.")

    def _check_not_moved(self) -> None:
        """Once, so that everything which builds on positions of before fails, and the state is made anew. The lock is held."""
        if self._moved is not None:
            moved, self._moved = self._moved, None
            raise LogUnavailable(moved)

    def _go_on_alone(self, error: LogUnavailable) -> None:
        """The journal takes the log's place, or the error stands: only the one that led may stand in. The lock is held."""
        if self._is_away:
            return
        if not (self._is_open and self._has_led):
            raise error
        self._is_away = True
        _log.error("log_away", why=error.message, last_seq=self._end[0])
        self._leave_room()

    def _leave_room(self) -> None:
        """Where the log is there and cannot write, others need not wait for us to find out."""
        if self.shared_turn.line.is_open:
            with suppress(LogUnavailable):
                self.shared_turn.give()

    def _look_forever(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_EVERY_S):
            looks += 1
            try:
                if self._is_away:
                    self._come_back()
                elif not self._has_led and looks % LEAD_EVERY == 0 and self._journal.lock() and self.shared_turn.leads():
                    self._rows.note(_NAME, self._journal.owner)  # Whoever led is gone.
                    self._has_led = True
            except LogUnavailable:
                pass
            except Exception as error:
                _log.error("log_not_back", error=type(error).__name__, why=str(error))

    def _come_back(self) -> None:
        """Forward the journal in a turn; while it lasts more comes in, so that only the last of it stops the work."""
        self.shared_turn.take(wait=True)
        try:
            self._rows.close()
            self._rows.open()
            self._greet_until_heard()
            while self._forward() == AT_ONCE:
                pass
            with self._lock:
                while self._forward():
                    pass
                self._end = self._rows.end()
                if self._has_moved:
                    self._moved = f"{self.name}: it went on while this server could not reach it; the state is made anew"
                self._is_away = self._has_moved = False
                is_taken = self._is_taken  # The turn on the journal goes on as that on the log.
        except BaseException:
            self._leave_room()
            raise
        if not is_taken:
            self.shared_turn.give()
        _log.warning("log_back", last_seq=self._end[0])

    def _greet_until_heard(self) -> None:
        """After a new session: find out who stands in, and let one who did come back first. In a turn, and again in one on return."""
        began = time.monotonic()
        while not self._greet(is_late=time.monotonic() - began > self._hold_s):
            self.shared_turn.give()
            time.sleep(LOOK_EVERY_S / 2)
            self.shared_turn.take(wait=True)
        self._session = self.shared_turn.n_sessions

    def _greet(self, *, is_late: bool) -> bool:
        """Whether nobody is waited for. In a turn."""
        is_mine = self._journal.lock()
        if not self.shared_turn.leads():
            self._has_led = False
            return True  # Another one does, and has forwarded what it had.
        registered = self._rows.meta(_NAME)
        if registered is None or (registered == self._journal.owner and is_mine) or is_late:
            if is_mine:
                self._rows.note(_NAME, self._journal.owner)
            else:
                self.shared_turn.stop_leading()
            self._has_led = is_mine
            if is_late:
                _log.error("stand_in_missing", why="the server that stood in did not come back; what it holds is forwarded when it does")
            return True
        self.shared_turn.stop_leading()
        return False

    def _forward(self) -> int:
        """Append what the journal holds and the log does not, in order; how many were looked at. In a turn."""
        rows = self._journal.oldest(n_max=AT_ONCE)
        known = self._rows.known([row[4] for row in rows if row[4] is not None])
        seq, arrived_us = self._rows.end()
        new: list[Row] = []
        for row in rows:
            if self._is_there(row, known=known):
                continue
            seq, arrived_us = seq + 1, max(arrived_us, row[1])
            self._has_moved |= seq != row[0]
            new.append((seq, arrived_us, *row[2:]))
        if new:
            self._rows.write(new)
        if rows:
            with self._lock:
                self._journal.drop(rows)
        return len(rows)

    def _is_there(self, row: Row, *, known: set[str]) -> bool:
        """Whether the log has the event already, or another one under its key; that one stands."""
        if row[4] is None:
            found = next(iter(self._rows.after(row[0] - 1, n_max=1)), None)
            return found is not None and found[0] == row[0] and found[2] == row[5]
        if row[4] not in known:
            return False
        there = self._rows.of_key(row[4])
        if there is None or there[2] != row[5]:
            self._journal.set_aside(row)
            _log.error(
                "journal_contradicts_log", key=row[4], why="the log's event stands; ours is set aside", file=str(self._journal.aside)
            )
        self._has_moved |= there is None or there[0] != row[0]
        return True


class StandInTurn:
    """The `Turn` of a `StandIn`."""

    def __init__(self, log: StandIn) -> None:
        self._log = log

    def take(self, *, wait: bool) -> bool:
        """Have the turn."""
        return self._log.take(wait=wait)

    def give(self) -> None:
        """Let the next one have it."""
        self._log.give()

    def was_last(self) -> bool:
        """Not known: the store is asked where the log ends."""
        return False

    def note(self) -> None:
        """Nothing is noted."""

    def is_wanted(self) -> bool:
        """Somebody else waits for it; nobody does while the log is away."""
        return not self._log.is_away and self._log.shared_turn.is_wanted()

    def leads(self) -> bool:
        """Whether this process does what only one should do."""
        return self._log.leads()

    def close(self) -> None:
        """Let go of everything."""
        self._log.end_all()
