"""A small file of attempts and its mapping, to be changed one thing at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.stores.tabular import Imported, read_attempts

NOW = datetime(2026, 4, 1, tzinfo=UTC)
HEADER = "id,when,euros,via,ok,card,note"
ROWS = (
    "a1,2026-03-01 10:00:00,12.50,north,1,Visa,",
    "a2,2026-03-01 10:00:30,80,south,0,Master,x",
    "a3,2026-03-01 10:01:20,80,north,1,Master,",
)
MAPPING = """
[file]
zone = "Europe/Berlin"
[fields]
attempt_id = { column = "id" }
attempted_at = { column = "when" }
route = { column = "via" }
status = { column = "ok", values = { 1 = "approved", 0 = "declined" } }
"payment.merchant_id" = { value = "shop" }
"payment.amount_minor" = { column = "euros", unit = "major" }
"payment.currency" = { value = "EUR" }
"payment.card.network" = { column = "card", values = { Visa = "visa", Master = "mastercard" } }
"payment.card.bin" = { value = "000000" }
"payment.card.card_id" = { from = "payment_id" }
[payments]
same = ["euros"]
within_s = 60
"""


def write(folder: Path, *, rows: tuple[str, ...] = ROWS, header: str = HEADER, mapping: str = MAPPING) -> tuple[Path, Path]:
    """The two files."""
    (folder / "attempts.csv").write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    return folder / "attempts.csv", folder / "mapping.toml"


def imported(folder: Path, *, rows: tuple[str, ...] = ROWS, header: str = HEADER, mapping: str = MAPPING) -> Imported:
    """What is read from them."""
    file, told = write(folder, rows=rows, header=header, mapping=mapping)
    return read_attempts([file], told, now=NOW)


def attempts_of(found: Imported) -> list[Attempt]:
    """The attempts, in order of arrival."""
    return [event.attempt for event, _ in found.events if isinstance(event, AttemptReported)]


def refused(found: Imported) -> dict[str, tuple[str, ...]]:
    """Rows left out, by reason."""
    return {rows.reason: rows.first_rows for rows in found.quality.refused}
