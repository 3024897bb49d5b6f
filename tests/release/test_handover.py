"""A release reaches running servers without a request being dropped."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from release_kit import Caller, MakeBundle, data_folder, releases_in, settings_of, until_refused
from running import Served

from honour.errors import BadInput, BundleRefused
from honour.pipeline.handover import Handover


@pytest.mark.slow
def test_running_servers_take_up_what_is_promoted_and_what_is_rolled_back_and_drop_no_request(tmp_path: Path, bundle: MakeBundle) -> None:
    old, new = bundle(1), bundle(2)
    data = data_folder(tmp_path)
    shutil.copytree(old[0], data / "bundle")
    with ExitStack() as stack:
        served = [Served(data) for _ in range(2)]
        for one in served:
            stack.callback(one.end)
        callers = [stack.enter_context(Caller(str(one.url), name)) for one, name in zip(served, "ab", strict=True)]
        for caller in callers:
            caller.wait_for(old[1])
        handover = Handover(data, settings=settings_of(data))
        handover.promote(str(new[0]), why="test")
        for caller in callers:
            caller.wait_for(new[1])
        assert (data / "bundle").resolve().name == new[1].removeprefix("sha256:")
        handover.rollback(why="test")
        for caller in callers:
            caller.wait_for(old[1])
    assert all(not caller.failed for caller in callers)
    # Between two requests: no decision was made by neither.
    assert {found for caller in callers for found in caller.bundles} == {old[1], new[1]}
    assert [(one.action, one.bundle) for one in releases_in(data)] == [("promote", old[1]), ("promote", new[1]), ("rollback", new[1])]


@pytest.mark.slow
def test_a_bundle_that_is_still_being_copied_is_never_read_and_one_that_is_whole_is_taken_up(tmp_path: Path, bundle: MakeBundle) -> None:
    old, new = bundle(1), bundle(2)
    data = data_folder(tmp_path)
    shutil.copytree(old[0], data / "bundle")
    served = Served(data)
    with Caller(str(served.url)) as caller:
        caller.wait_for(old[1])
        assert (data / "bundle").is_symlink()
        (data / "bundle").unlink()
        (data / "bundle").mkdir()
        for number, file in enumerate(sorted(new[0].iterdir(), key=lambda path: path.name != "manifest.json")):
            whole = file.read_bytes()
            (data / "bundle" / file.name).write_bytes(whole[: len(whole) // 2])
            if number == 2:
                until_refused(str(served.url))
            (data / "bundle" / file.name).write_bytes(whole)
        caller.wait_for(new[1])
    code, told = served.end()
    assert code == 0
    assert caller.failed == []
    assert '"event": "bundle_refused"' in told
    assert set(caller.bundles) == {old[1], new[1]}


def test_releases_that_make_no_sense_are_refused_and_change_nothing(tmp_path: Path, bundle: MakeBundle) -> None:
    data, (one, one_id), (other, _) = data_folder(tmp_path), bundle(1), bundle(2)
    handover = Handover(data, settings=settings_of(data))
    with pytest.raises(BadInput, match="no live bundle to compare with"):
        handover.canary(str(one), share=0.1, why="")
    with pytest.raises(BadInput, match="no canary, and no bundle before"):
        handover.rollback(why="")
    with pytest.raises(BundleRefused, match="no such bundle"):
        handover.promote(str(tmp_path / "nowhere"), why="")
    assert handover.promote(str(one), why="").live == one_id
    with pytest.raises(BadInput, match="live already"):
        handover.promote(one_id[:12], why="")
    with pytest.raises(BadInput, match="no bundle sha256:0000"):
        handover.promote("sha256:0000", why="")
    handover.canary(str(other), share=0.1, why="")
    with pytest.raises(BadInput, match="another bundle is the canary"):
        handover.canary(str(bundle(3)[0]), share=0.1, why="")
    assert [one.action for one in releases_in(data)] == ["promote", "canary"]
