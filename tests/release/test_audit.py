"""Every change of the settings and every release is told, with who did it; nothing secret is."""

from __future__ import annotations

from pathlib import Path

import msgspec
from release_kit import change, settings_of

from honour.outcomes.state import State
from honour.records.route import Route
from honour.release.audit import changes
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog


def test_each_change_names_its_keys_who_and_when_and_a_restart_is_none(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    shop = Engine(settings, log=MemoryLog(), state=State())
    shop.take_settings(settings, by="ann")
    shop.take_settings(settings, by="ann")
    routes = (*settings.routes[1:], Route(id="acq_new"))
    secret = msgspec.structs.replace(settings.policy, salt="a secret of this installation")
    shop.take_settings(msgspec.structs.replace(settings, routes=routes, policy=secret), by="bob")
    shop.take_release(change("promote", "sha256:" + "a" * 64))
    first, second, third = changes(shop.log.read())
    assert (first.what, first.by, first.did) == ("settings", "ann", ("first settings",))
    assert (second.what, second.by) == ("settings", "bob")
    assert [line.partition(":")[0] for line in second.did] == ["routes.acq_1", "routes.acq_new"]
    assert second.did[1].startswith('routes.acq_new: none -> {"id":"acq_new"')
    assert (third.what, third.by, third.why, third.did) == ("release", "somebody", "test", ("promote sha256:" + "a" * 64,))
    assert "secret" not in repr((first, second, third))
