"""Who changed what, and when: every change of the settings and every release that the log holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from honour.records.event import LoggedEvent, SettingsTaken
from honour.records.instant import from_us
from honour.records.release import ReleaseChanged
from honour.records.settings import Settings


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    at    when it was taken; of events from before this was written down, when the event before it had arrived
    by    who, as far as it can be told; None where it was not written down
    what  settings or release
    did   each key that changed with what it was and what it is, or the release in words
    why   what was said about it
    """

    seq: int
    at: datetime
    by: str | None
    what: str
    did: tuple[str, ...]
    why: str | None = None


def changes(events: Iterable[LoggedEvent]) -> Iterator[Change]:
    """Every change, the oldest first. Settings that a server took again as they were, when it started, are none."""
    before: Settings | None = None
    for logged in events:
        match logged.event:
            case SettingsTaken(settings=settings) as taken:
                did = ("first settings",) if before is None else tuple(_apart(msgspec.to_builtins(before), msgspec.to_builtins(settings)))
                before = settings
                if did:
                    yield Change(seq=logged.seq, at=taken.at or from_us(logged.arrived_us), by=taken.by, what="settings", did=did)
            case ReleaseChanged() as change:
                share = f" for {change.share:.2%} of new payments" if change.share is not None else ""
                did = (f"{change.action} {change.bundle}{share}",)
                yield Change(seq=logged.seq, at=change.at, by=change.by, what="release", did=did, why=change.why or None)
            case _:
                pass


def _apart(before: Any, now: Any, *, path: str = "") -> Iterator[str]:
    """Keys whose values differ, with both."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _apart(before.get(key), now.get(key), path=f"{path}.{key}" if path else str(key))
        return
    by_name = _by_name(before), _by_name(now)
    if by_name[0] is not None and by_name[1] is not None:
        yield from _apart(by_name[0], by_name[1], path=path)
    elif before != now:
        yield f"{path}: {_said(before)} -> {_said(now)}"


def _by_name(value: Any) -> dict[str, Any] | None:
    """A list of tables by what names each, so that one that is added moves no other."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(one, dict) for one in value):
        return None
    names = [str(one.get("id") or one.get("name") or one.get("acquirer")) for one in value]
    return dict(zip(names, value, strict=True)) if len(set(names)) == len(names) else None


def _said(value: Any) -> str:
    return "none" if value is None else msgspec.json.encode(value).decode()
