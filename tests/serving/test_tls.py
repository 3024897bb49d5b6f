"""HTTPS and mutual TLS by configuration, on a real socket; and certificates that do not fit."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme
from running import Served
from shop import payment

from honour.cli.settings import load_settings
from honour.errors import BadSettings

CONFIG = '[serving]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
ROUTES = '[[routes]]\nid = "acq_1"\n'


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "server.key")
    made.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "callers.pem")
    return tmp_path


@pytest.mark.slow
def test_with_a_certificate_the_service_speaks_https_and_with_authorities_it_asks_callers_for_theirs(
    folder: Path, authority: trustme.CA
) -> None:
    (folder / "honour.toml").write_text(CONFIG + ROUTES, encoding="utf-8")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    served = Served(folder)
    assert served.url is not None
    assert served.url.startswith("https://")
    assert httpx.post(f"{served.url}/v1/decisions", json={"payment": payment()}, verify=trusting).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{served.url.replace('https', 'http')}/healthz")
    assert served.end()[0] == 0

    (folder / "honour.toml").write_text(CONFIG + 'tls_client_ca = "callers.pem"\n' + ROUTES, encoding="utf-8")
    served = Served(folder)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{served.url}/healthz", verify=trusting)
    authority.issue_cert("shop.example").configure_cert(trusting)
    assert httpx.get(f"{served.url}/healthz", verify=trusting).status_code == 200
    assert served.end()[0] == 0


@pytest.mark.slow
def test_a_server_that_others_can_reach_does_not_start_without_keys(folder: Path) -> None:
    (folder / "honour.toml").write_text('[serving]\nhost = "0.0.0.0"\n' + ROUTES, encoding="utf-8")
    served = Served(folder)
    assert served.url is None
    code, told = served.end()
    assert (code, "serving.keys: none, and 0.0.0.0 can be reached" in told) == (2, True)


def _swap_key(folder: Path) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(folder / "server.key")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "server.key").unlink(), "serving.tls_key: .*: no such file"),
        (lambda folder: (folder / "server.pem").write_text("nonsense"), "serving.tls_certificate: .* do not fit together"),
        (_swap_key, "serving.tls_certificate: .* do not fit together .*MISMATCH"),
        (lambda folder: (folder / "honour.toml").write_text('[serving]\ntls_key = "server.key"\n'), "go together; only one"),
        (lambda folder: (folder / "honour.toml").write_text('[serving]\ntls_client_ca = "callers.pem"\n'), "tls_client_ca needs"),
    ],
    ids=["missing", "nonsense", "foreign key", "half", "no certificate"],
)
def test_certificates_that_do_not_fit_are_refused_before_anything_is_served(
    folder: Path, spoil: Callable[[Path], object], said: str
) -> None:
    (folder / "honour.toml").write_text(CONFIG, encoding="utf-8")
    load_settings(folder / "honour.toml", environment={})
    spoil(folder)
    with pytest.raises(BadSettings, match=said):
        load_settings(folder / "honour.toml", environment={})
