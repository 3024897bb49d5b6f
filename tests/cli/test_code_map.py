"""Code maps: an acquirer's own codes become the networks', before anything counts them; files that are wrong say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from honour.cli.settings import load_settings
from honour.errors import BadSettings
from honour.networks.code_map import translated
from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.payment import Card, Payment
from honour.records.settings import MappedCode, Settings
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

SETTINGS = '[[routes]]\nid = "acq_1"\nacquirer = "acme"\n[[routes]]\nid = "acq_2"\n[[code_maps]]\nacquirer = "acme"\nfile = "acme.toml"\n'


def loaded(tmp_path: Path, codes: str, *, settings: str = SETTINGS) -> Settings:
    (tmp_path / "honour.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "acme.toml").write_text(codes, encoding="utf-8")
    return load_settings(tmp_path / "honour.toml", environment={})


def test_the_file_of_an_acquirer_is_read_with_the_settings(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[codes]\nD51 = { response_code = "51", merchant_advice_code = "26" }\n')
    assert settings.code_maps[0].codes == {"D51": MappedCode(response_code="51", merchant_advice_code="26")}


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ('[codes]\nD51 = { response_code = "51000" }\n', "'D51' is mapped to response_code '51000', which no table"),
        ('[codes]\nD51 = { response_code = "51", merchant_advice_code = "99" }\n', "merchant_advice_code '99'"),
        ('[codes]\nD51 = "51"\n', "acme.toml: Expected `object`, got `str`"),
        ("[codes\n", "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, codes: str, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        loaded(tmp_path, codes)
    assert said in str(refused.value)
    assert "code_maps[0]" in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (('acquirer = "acme"\nfile', 'acquirer = "acne"\nfile'), "no route has acquirer 'acne'. Allowed: acme."),
        (("acme.toml", "none.toml"), "no such file"),
        (('file = "acme.toml"', 'file = "acme.toml"\n[[code_maps]]\nacquirer = "acme"'), "has a map already"),
    ],
)
def test_a_wrong_reference_is_refused(tmp_path: Path, changed: tuple[str, str], said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        loaded(tmp_path, '[codes]\nD51 = { response_code = "51" }\n', settings=SETTINGS.replace(*changed))
    assert said in str(refused.value)


def test_a_translated_answer_keeps_the_acquirers_own_code_and_the_callers_advice(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[codes]\nD51 = { response_code = "51", merchant_advice_code = "26" }\n')
    told = Outcome(decision_id="dec_1", status="declined", response_code="D51", merchant_advice_code="24")
    answer = translated(told, route="acq_1", settings=settings)
    assert (answer.response_code, answer.merchant_advice_code, answer.acquirer_code) == ("51", "24", "D51")
    assert translated(told, route="acq_2", settings=settings) is told


def test_rules_hold_for_translated_codes_and_the_same_report_again_is_no_contradiction(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[codes]\nDEAD = { response_code = "41" }\n', settings=SETTINGS.replace('[[routes]]\nid = "acq_2"\n', ""))
    engine = Engine(settings, log=MemoryLog(), state=State(), clock_us=lambda: 1_772_366_400_000_000)
    card = Card(card_id="crd_1", bin="411111", network="visa")
    request = DecisionRequest(payment=Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=5, currency="EUR", card=card))
    told = Outcome(decision_id=engine.decide(request).answer.decision_id, status="declined", response_code="DEAD")
    engine.report_outcome(told)
    assert not engine.report_outcome(told).is_news
    assert engine.decide(request).answer.reason.code == "network_never_retry"
    assert engine.state.retries.unknown == {}
