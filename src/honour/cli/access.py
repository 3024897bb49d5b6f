"""Who may ask, in the settings: API keys and certificates, checked; and new keys written into honour.toml."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

import msgspec
import tomli_w

from honour.errors import BadSettings
from honour.records.api_key import ApiKey, Scope
from honour.records.settings import Settings


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key: everything but its hash."""

    name: str
    id: str
    scopes: tuple[Scope, ...]
    merchants: tuple[str, ...]
    per_s_max: int | None


_FILES = ("tls_certificate", "tls_key", "tls_client_ca")


def check_keys(settings: Settings, where: str) -> None:
    """Raise BadSettings when two keys have one name or id."""
    keys = settings.serving.keys
    for what, told in (("name", [one.name for one in keys]), ("id", [one.id for one in keys])):
        for value in told:
            if told.count(value) > 1:
                raise BadSettings(f"{where}: serving.keys: {what} {value!r} is given {told.count(value)} times; every key needs its own.")


def with_tls_files(settings: Settings, *, path: Path | None, where: str) -> Settings:
    """The settings with the files of certificates found beside honour.toml; BadSettings when they do not fit."""
    serving, folder = settings.serving, path.parent if path is not None else Path()
    if (serving.tls_certificate is None) != (serving.tls_key is None):
        raise BadSettings(f"{where}: serving.tls_certificate and serving.tls_key go together; only one of them is given.")
    if serving.tls_client_ca is not None and serving.tls_certificate is None:
        raise BadSettings(
            f"{where}: serving.tls_client_ca needs serving.tls_certificate and serving.tls_key: without TLS nobody shows one."
        )
    found = {name: str(folder / file) for name in _FILES if (file := getattr(serving, name)) is not None}
    for name, file in found.items():
        if not os.access(file, os.R_OK):
            raise BadSettings(f"{where}: serving.{name}: {file}: no such file, or it cannot be read. Paths are relative to honour.toml.")
    if found:
        _check_fit(found, where)
    return msgspec.structs.replace(settings, serving=msgspec.structs.replace(serving, **found))


def add_key(path: Path, key: ApiKey) -> None:
    """Write a key at the end of honour.toml; the file is replaced whole, with its permissions."""
    text = path.read_text(encoding="utf-8")
    told = {
        name: list(value) if isinstance(value, tuple) else value for name, value in msgspec.structs.asdict(key).items() if value is not None
    }
    section = f"\n[[serving.keys]]\n{tomli_w.dumps(told)}"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(handle, path.stat().st_mode & 0o777)
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(text.rstrip("\n") + "\n" + section)
            written.flush()
            os.fsync(written.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def shown(key: ApiKey) -> ShownKey:
    """A key without its hash."""
    return ShownKey(name=key.name, id=key.id, scopes=key.scopes, merchants=key.merchants, per_s_max=key.per_s_max)


def _check_fit(found: dict[str, str], where: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password instead of none: a key that has one is refused here, and asks nobody at a terminal.
        context.load_cert_chain(found["tls_certificate"], found["tls_key"], password="")
        if "tls_client_ca" in found:
            context.load_verify_locations(found["tls_client_ca"])
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise BadSettings(
            f"{where}: serving.tls_certificate: certificate, key and authorities do not fit together or are no PEM files ({reason}). "
            "The key must be without a password and belong to the certificate."
        ) from None
