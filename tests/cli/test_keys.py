"""`honour keys`: a key is shown once, kept as a hash, and comes into force where a server reads its settings."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from honour.cli.app import app
from honour.cli.settings import load_settings
from honour.errors import BadInput, BadSettings
from honour.serving.keys import KeyRing

CONFIG = '# Mine, with a remark.\n[serving]\nport = 9000\n\n[[routes]]\nid = "acq_1"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "honour.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "honour.toml").chmod(0o640)
    return tmp_path


def test_a_new_key_opens_what_it_says_and_the_file_keeps_all_else(folder: Path) -> None:
    key = _run(folder, "new", "shop", "--scope", "report", "--scope", "decide", "--merchant", "mer_1").strip()
    told = json.loads(_run(folder, "new", "ops", "--scope", "read", "--merchant", "*", "--json"))
    text = (folder / "honour.toml").read_text(encoding="utf-8")
    assert text.startswith(CONFIG)
    assert stat.S_IMODE((folder / "honour.toml").stat().st_mode) == 0o640
    assert [path.name for path in folder.iterdir()] == ["honour.toml"]
    for one in (key, told["key"]):
        assert one.rpartition("_")[2] not in text
    settings = load_settings(folder / "honour.toml", environment={})
    ring = KeyRing(host="127.0.0.1")
    holder = ring.holder({b"authorization": f"Bearer {key}".encode()}, settings=settings, scope="decide")
    assert (holder.name, sorted(holder.scopes), holder.merchants) == ("shop", ["decide", "report"], frozenset({"mer_1"}))
    assert ring.holder({b"authorization": f"Bearer {told['key']}".encode()}, settings=settings, scope="read").merchants is None


def test_the_list_names_every_key_and_shows_no_hash(folder: Path) -> None:
    _run(folder, "new", "shop", "--scope", "decide", "--merchant", "mer_1", "--merchant", "mer_2", "--per-s-max", "50")
    kept = load_settings(folder / "honour.toml", environment={}).serving.keys[0]
    listed, table = json.loads(_run(folder, "list", "--json")), _run(folder, "list")
    assert listed == {"keys": [{"name": "shop", "id": kept.id, "scopes": ["decide"], "merchants": ["mer_1", "mer_2"], "per_s_max": 50}]}
    assert "mer_1, mer_2" in table
    assert kept.digest[:8] not in table


def test_a_name_that_is_taken_and_a_scope_that_does_not_exist_are_refused_and_nothing_is_written(folder: Path) -> None:
    _run(folder, "new", "shop", "--scope", "decide", "--merchant", "mer_1")
    before = (folder / "honour.toml").read_text(encoding="utf-8")
    for words, match in (
        (("shop", "--scope", "decide", "--merchant", "mer_1"), "there is a key 'shop'"),
        (("till", "--scope", "write", "--merchant", "mer_1"), "'write' is no scope. Allowed: decide, report, read, administer"),
    ):
        with pytest.raises(BadInput, match=match):
            _run(folder, "new", *words)
    assert (folder / "honour.toml").read_text(encoding="utf-8") == before


def test_without_a_configuration_there_is_nowhere_to_write_a_key(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"no honour\.toml to write the key into"):
        _run(tmp_path, "new", "shop", "--scope", "decide", "--merchant", "*")


def test_two_keys_of_one_name_are_refused(folder: Path) -> None:
    _run(folder, "new", "shop", "--scope", "decide", "--merchant", "*")
    text = (folder / "honour.toml").read_text(encoding="utf-8")
    section = text[text.index("[[serving.keys]]") :]
    (folder / "honour.toml").write_text(f"{text}\n{section}", encoding="utf-8")
    with pytest.raises(BadSettings, match=r"serving\.keys: name 'shop' is given 2 times"):
        load_settings(folder / "honour.toml", environment={})


def test_keys_may_come_from_the_environment(folder: Path) -> None:
    _run(folder, "new", "shop", "--scope", "decide", "--merchant", "*")
    kept = load_settings(folder / "honour.toml", environment={}).serving.keys[0]
    told: dict[str, Any] = {name: getattr(kept, name) for name in kept.__struct_fields__}
    settings = load_settings(None, environment={"HONOUR_SERVING__KEYS": json.dumps([told])})
    assert settings.serving.keys == (kept,)


def _run(folder: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["keys", *words, "--data", str(folder)], catch_exceptions=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout
