"""Configuration: every error names file, key, what was found and what is allowed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from honour.cli.settings import load_settings
from honour.errors import BadSettings


def refused(tmp_path: Path, text: str, *, environment: dict[str, str] | None = None) -> str:
    path = tmp_path / "honour.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadSettings) as caught:
        load_settings(path, environment=environment or {})
    return str(caught.value)


def test_the_template_that_init_writes_is_sound() -> None:
    template = resources.files("honour.cli").joinpath("template.toml")
    with resources.as_file(template) as path:
        settings = load_settings(path, environment={})
    assert [route.id for route in settings.routes] == ["acq_br_1", "acq_us_2"]
    assert settings.terms_of("mer_7").margin_bps == 2500
    assert settings.terms_of("another").margin_bps == 1000


def test_an_unknown_key_lists_the_keys_that_are_allowed(tmp_path: Path) -> None:
    message = refused(tmp_path, '[data]\nfolder = "x"\n')
    assert "honour.toml: data: object contains unknown field `folder`" in message
    assert "Allowed here: dir, entities_max, log, log_timeout_ms, snapshot_every, state, state_timeout_ms, while_away." in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serving]\nport = 70000\n", "serving.port: expected `int` <= 65535. Found: 70000."),
        ('[serving]\nport = "8080"\n', "serving.port: expected `int`, got `str`. Found: '8080'."),
        ("[merchants.mer_7]\nmargin_bps = -1\n", "merchants.mer_7.margin_bps: expected `float` >= 0.0. Found: -1."),
        ('[[routes]]\nid = "a"\nnetworks = ["vida"]\n', "routes[0].networks[0]: invalid enum value 'vida'"),
        ('[[routes]]\nid = "a"\n[[routes]]\nid = "a"\n', "routes: id 'a' is given 2 times"),
        ('[policy]\nfallback_order = ["b"]\n[[routes]]\nid = "a"\n', "policy.fallback_order: no route 'b'. Allowed: a."),
        ('[[routes]]\nid = "a"\ncurrencies = ["EUX"]\n', "routes[0].currencies: 'EUX' is no ISO 4217 currency"),
        ('[merchants.m]\ncountry = "XX"\n', "merchants.m.country: 'XX' is no ISO 3166-1 alpha-2 country"),
        ("[data\n", "not valid TOML"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"no such file\. Make one to start from with `honour init DIR`"):
        load_settings(tmp_path / "none.toml", environment={})


def test_the_environment_overrides_the_file() -> None:
    environment = {
        "HONOUR_DATA__DIR": "elsewhere",
        "HONOUR_SERVING__PORT": "9000",
        "HONOUR_ROUTES": "ignored without a section",
        "HONOUR_MERCHANTS__MER_7__MARGIN_BPS": "300",
    }
    settings = load_settings(None, environment=environment)
    assert (settings.data.dir, settings.serving.port, settings.terms_of("mer_7").margin_bps) == ("elsewhere", 9000, 300)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, "", environment={"HONOUR_SERVING__PORT": "many"})
    assert "environment variable HONOUR_SERVING__PORT: serving.port: expected `int`" in message


def test_lists_come_as_json(tmp_path: Path) -> None:
    path = tmp_path / "honour.toml"
    path.write_text('[[routes]]\nid = "a"\n[[routes]]\nid = "b"\n', encoding="utf-8")
    settings = load_settings(path, environment={"HONOUR_POLICY__FALLBACK_ORDER": '["b", "a"]'})
    assert settings.policy.fallback_order == ("b", "a")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ('webhook_url = "shop.test/due"', "'shop.test/due' is no address"),
        ('webhook_url = "https://shop.test/due"\nwebhook_secret = "short"', "5 characters; at least 16"),
        ('webhook_url = "https://shop.test/due"', "0 characters; at least 16"),
    ],
)
def test_a_webhook_needs_an_address_and_a_key_to_sign_with(tmp_path: Path, told: str, said: str) -> None:
    file = tmp_path / "honour.toml"
    file.write_text(f"[retries]\n{told}\n", encoding="utf-8")
    with pytest.raises(BadSettings) as refused:
        load_settings(file, environment={})
    assert said in str(refused.value)
    assert "short" not in str(refused.value)
