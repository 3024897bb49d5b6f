"""From a data folder to a running server and back: what it refuses to start on, and what it takes while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running import Served
from shop import payment

pytestmark = pytest.mark.slow

ROUTES = '[[routes]]\nid = "acq_1"\n\n[[routes]]\nid = "acq_2"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder with two routes and no bundle."""
    (tmp_path / "honour.toml").write_text(ROUTES, encoding="utf-8")
    return tmp_path


def test_without_a_bundle_it_serves_the_static_order_and_stops_cleanly(folder: Path) -> None:
    served = Served(folder)
    decision = httpx.post(f"{served.url}/v1/decisions", json={"payment": payment()}).json()
    assert (decision["stage"], decision["attempt"]["route"]) == ("fallback", "acq_1")
    assert httpx.get(f"{served.url}/readyz").json() == {"status": "ready", "bundle": None}
    code, _ = served.end()
    assert (code, len(list((folder / "snapshots").iterdir()))) == (0, 1)
    again = Served(folder)
    assert httpx.post(f"{again.url}/v1/decisions", json={"payment": payment()}).json() == decision
    assert again.end()[0] == 0


def test_a_corrupt_bundle_is_refused_before_anything_is_served(folder: Path) -> None:
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text("{}", encoding="utf-8")
    served = Served(folder)
    assert served.url is None
    code, told = served.end()
    assert (code, "bundle-refused" in told) == (1, True)


def test_changed_settings_are_taken_while_it_runs_and_wrong_ones_are_not(folder: Path) -> None:
    served = Served(folder)
    with httpx.Client(base_url=served.url or "") as client:
        (folder / "honour.toml").write_text(ROUTES + "enabled = nonsense\n", encoding="utf-8")
        time.sleep(1.5)
        assert _reasons(client, "pay_1") == {"acq_1": [], "acq_2": []}
        (folder / "honour.toml").write_text(ROUTES + "enabled = false\n", encoding="utf-8")
        for number in range(100):
            if _reasons(client, f"pay_2_{number}") == {"acq_1": [], "acq_2": ["route_disabled"]}:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the changed settings were never taken")
    code, told = served.end()
    assert code == 0
    assert "settings_refused" in told
    assert "settings_taken" in told


def test_a_body_of_two_megabytes_is_answered_over_a_socket(folder: Path) -> None:
    served = Served(folder)
    try:
        answer = httpx.post(f"{served.url}/v1/decisions", content=b" " * 2_000_000, headers={"content-type": "application/json"})
        assert answer.status_code == 413
    finally:
        served.end()


def _reasons(client: httpx.Client, payment_id: str) -> dict[str, list[str]]:
    decision = client.post("/v1/decisions", json={"payment": payment(payment_id)}).json()
    return {ranked["route"]: ranked["reasons"] for ranked in decision["ranking"]}
