"""Features that an installation declares itself: what a file may say, and that every process then computes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from honour.cli.own_features import VARIABLE, config_of, name_own_features
from honour.cli.settings import load_settings
from honour.errors import BadInput, BadSettings
from honour.features.catalogue import CATALOGUE, HONOURS_OWN, LIBRARY
from honour.features.own import combined, own_files, read_features
from honour.features.shelf import SHELF, shelf
from honour.features.view import ContextFeature

HERE = Path(__file__).resolve().parent
SHOP = HERE / "shop_features.py"
LEADING = "from honour.features.view import DAY, HOUR, AttributeFeature, WindowFeature\n"


def test_own_features_stand_after_honours_of_their_level_and_change_the_schema() -> None:
    both = combined(HONOURS_OWN, read_features(SHOP))
    own = {"basket_items", "loyalty", "loyalty_approval_rate_7d", "route_mcc_answers_7d"}
    assert [name for name in both.names if name not in own] == list(CATALOGUE.names)
    assert both.payment[-1].name == "loyalty_approval_rate_7d"
    assert both.candidate[-1].name == "route_mcc_answers_7d"
    assert both.schema_id != CATALOGUE.schema_id


def test_features_are_taken_from_the_shelf_with_what_they_shrink_to() -> None:
    taken = shelf("issuer_route_authentication_approval_rate_24h", "card_distinct_routes_30d")
    at = "issuer_route_authentication_approval_rate"
    assert [feature.name for feature in taken] == ["card_distinct_routes_30d", f"{at}_30d", f"{at}_7d", f"{at}_24h"]
    assert set(combined(HONOURS_OWN, taken).names) == {feature.name for feature in (*HONOURS_OWN, *taken)}
    assert set(LIBRARY.names) >= {*CATALOGUE.names, *(feature.name for feature in SHELF)}
    with pytest.raises(BadInput, match="feature luck is not on the shelf"):
        shelf("luck")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs FEATURES, a tuple of declarations from honour.features.view; found nothing"),
        ("FEATURES = 'all'", "found str"),
        ("FEATURES = (1,)", r"FEATURES\[0\] is a int; allowed: ContextFeature"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("FEATURES = (", "SyntaxError"),
        (LEADING + "FEATURES = (AttributeFeature(kind='number'),)", "TypeError"),
    ],
)
def test_a_file_that_does_not_hold_is_named_with_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadSettings, match=problem) as refused:
        read_features(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ("AttributeFeature(name='issuer', kind='category')", "feature issuer: declared twice"),
        ("AttributeFeature(name='Basket', kind='number')", "feature Basket: cannot be a column"),
        (
            "AttributeFeature(name='basket', attribute='Basket items', kind='number')",
            "feature basket: attribute 'Basket items' cannot be a column",
        ),
        (
            "WindowFeature(name='w', entity=('attribute_x',), measure='count', window_s=DAY, tile_s=HOUR)",
            "feature w: entity part attribute_x is no column",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_honours_is_refused_as_a_setting(tmp_path: Path, declared: str, problem: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"{LEADING}FEATURES = ({declared},)", encoding="utf-8")
    with pytest.raises(BadSettings, match=f"features.files: {problem}"):
        combined(HONOURS_OWN, read_features(path))


def test_a_file_that_is_not_there_and_a_variable_that_is_no_list_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no such file"):
        read_features(tmp_path / "gone.py")
    with pytest.raises(BadSettings, match="Give a JSON list of paths"):
        own_files({VARIABLE: "own.py"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("features list", "honour-data/honour.toml"),
        ("train --data=d", "d/honour.toml"),
        ("serve", "honour.toml"),
        ("serve --data d --config c.toml", "c.toml"),
    ],
)
def test_the_configuration_of_a_command_line_is_found_before_it_is_run(line: str, expected: str) -> None:
    assert config_of(line.split()) == Path(expected)


def test_files_are_relative_to_the_configuration_and_a_variable_that_is_set_stays(tmp_path: Path) -> None:
    (tmp_path / "honour.toml").write_text('[features]\nfiles = ["own.py"]\n', encoding="utf-8")
    environment: dict[str, str] = {}
    name_own_features(["train", "--data", str(tmp_path)], environment=environment)
    assert json.loads(environment[VARIABLE]) == [str((tmp_path / "own.py").resolve())]
    kept = {VARIABLE: "[]"}
    name_own_features(["train", "--data", str(tmp_path)], environment=kept)
    assert kept == {VARIABLE: "[]"}


def test_settings_whose_files_this_process_did_not_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "honour.toml").write_text('[features]\nfiles = ["own.py"]\n', encoding="utf-8")
    with pytest.raises(BadSettings, match="are not the files that this process read"):
        load_settings(tmp_path / "honour.toml", environment={})


def _run(*arguments: str, own: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")}
    if own is not None:
        environment[VARIABLE] = json.dumps([str(own)])
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, cwd=HERE.parents[1])


def test_the_command_lists_describes_and_compiles_an_own_feature(tmp_path: Path) -> None:
    (tmp_path / "honour.toml").write_text(f"[features]\nfiles = [{str(SHOP)!r}]\n", encoding="utf-8")
    listed = _run("-m", "honour.cli", "features", "list", "--data", str(tmp_path), "--json")
    assert listed.returncode == 0, listed.stderr
    by_name = {one["name"]: one for one in json.loads(listed.stdout)["features"]}
    assert by_name["loyalty_approval_rate_7d"]["owner"] == "checkout"
    assert len(by_name) == len(HONOURS_OWN) + 4
    described = _run("-m", "honour.cli", "features", "describe", "loyalty_approval_rate_7d", "--data", str(tmp_path))
    assert "Members are known to their issuers." in described.stdout
    sql = _run("-m", "honour.cli", "features", "sql", "loyalty_approval_rate_7d", "--data", str(tmp_path))
    assert "PARTITION BY attribute_loyalty" in sql.stdout
    (tmp_path / "honour.toml").write_text("[features]\nfiles = ['gone.py']\n", encoding="utf-8")
    refused = _run("-m", "honour.cli", "features", "list", "--data", str(tmp_path))
    assert (refused.returncode, "gone.py: no such file" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_own_features_are_served_as_the_log_gives_them_again() -> None:
    """The whole parity property, in a process that has them."""
    run = _run("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(HERE / "test_online_equals_offline.py"), own=SHOP)
    assert run.returncode == 0, run.stdout
    listed = _run("-c", "from honour.features.catalogue import FEATURES; print(len(FEATURES))", own=SHOP)
    assert int(listed.stdout) == len(HONOURS_OWN) + 4


@pytest.mark.parametrize("feature", HONOURS_OWN, ids=lambda feature: feature.name)
def test_every_feature_of_honour_can_be_described(feature: ContextFeature) -> None:
    from honour.features.describe import describe

    told = describe(feature)
    assert told.aggregation
    assert told.missing
    assert told.owner
