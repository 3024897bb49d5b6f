"""Loading honour.toml and the environment into `Settings`, or an error that names file, key, value and what is allowed."""

from __future__ import annotations

import os
import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from honour.cli.access import check_keys, with_tls_files
from honour.cli.code_map import with_code_maps
from honour.errors import BadSettings
from honour.features.catalogue import OWN_FILES
from honour.features.expectation import expected_of
from honour.records.domain import COUNTRIES, CURRENCIES
from honour.records.route import Merchant
from honour.records.settings import Settings
from honour.stores.postgres import name_of

PREFIX = "HONOUR_"
WEBHOOK_SECRET_MIN = 16


def load_settings(path: Path | None, *, environment: Mapping[str, str] | None = None, data_dir: Path | None = None) -> Settings:
    """The settings of the file at `path` (None: defaults), overridden by `HONOUR_SECTION__KEY` variables and `data_dir`.

    Raises BadSettings for a file that cannot be read, a key that does not exist, a value of the wrong kind, two routes
    with one id, or a reference to a route, country or currency that does not exist.
    """
    environment = os.environ if environment is None else environment
    tree = _read(path) if path is not None else {}
    where = str(path) if path is not None else "defaults"
    settings = _convert(tree, where=where, strict=True)
    overrides = {name: value for name, value in environment.items() if name.startswith(PREFIX) and "__" in name}
    for name, value in sorted(overrides.items()):
        _place(tree, name, value)
        settings = _convert(tree, where=f"environment variable {name}", strict=False)
    if data_dir is not None:
        settings = msgspec.structs.replace(settings, data=msgspec.structs.replace(settings.data, dir=str(data_dir)))
    _check_references(settings, where)
    _check_own_features(settings, path)
    return with_tls_files(with_code_maps(settings, path=path, where=where), path=path, where=where)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadSettings(f"{path}: no such file. Make one to start from with `honour init DIR`.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: cannot be read ({error}).") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path}: not valid TOML: {error}.") from None


def _convert(tree: dict[str, Any], *, where: str, strict: bool) -> Settings:
    try:
        return msgspec.convert(tree, Settings, strict=strict)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        place = place.rstrip("`")
        keys = [part for part in re.split(r"\.|(\[\.\.\.\]|\[\d+\])", place.removeprefix("$")) if part]
        if keys[:2] == ["merchants", "[...]"]:
            keys[1] = _broken_merchant(tree, strict=strict)
        found = _value_at(tree, keys)
        detail = f"{where}: {_dotted(keys) or 'top level'}: {message[0].lower()}{message[1:]}."
        if "unknown field" in message:
            detail += f" Allowed here: {', '.join(_allowed_keys(keys))}."
        elif found is not None and not isinstance(found, dict | list):
            detail += f" Found: {found!r}."
        raise BadSettings(detail) from None


def _broken_merchant(tree: dict[str, Any], *, strict: bool) -> str:
    """The first merchant whose terms do not hold; msgspec names the place in a table as [...] only."""
    for merchant_id, terms in tree["merchants"].items():
        try:
            msgspec.convert(terms, Merchant, strict=strict)
        except msgspec.ValidationError:
            return str(merchant_id)
    return "[...]"


def _dotted(keys: list[str]) -> str:
    return re.sub(r"\.\[", "[", ".".join(keys))


def _value_at(tree: Any, keys: list[str]) -> Any:
    for key in keys:
        if isinstance(tree, dict) and key in tree:
            tree = tree[key]
        elif isinstance(tree, list) and re.fullmatch(r"\[\d+\]", key) and int(key[1:-1]) < len(tree):
            tree = tree[int(key[1:-1])]
        else:
            return None
    return tree


def _allowed_keys(keys: list[str]) -> list[str]:
    """Keys that the struct at `keys` has, found by walking the type of Settings."""
    kind: Any = Settings
    for key in keys:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = get_type_hints(kind).get(key)
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(arm for arm in get_args(kind) if arm is not type(None))
    return sorted(kind.__struct_fields__) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else []


def _place(tree: dict[str, Any], name: str, value: str) -> None:
    """Write an environment value into the tree: HONOUR_DATA__DIR is data.dir; a list or table is given as JSON."""
    *parents, last = name.removeprefix(PREFIX).split("__")
    for part in parents:
        tree = tree.setdefault(_key_like(part, tree), {})
        if not isinstance(tree, dict):
            raise BadSettings(
                f"environment variable {name}: {part.lower()} is not a section; give lists such as routes as JSON in one variable."
            )
    parsed: Any = value
    if value[:1] in "[{":
        try:
            parsed = msgspec.json.decode(value.encode())
        except msgspec.DecodeError as error:
            raise BadSettings(f"environment variable {name}: not valid JSON: {error}.") from None
    tree[_key_like(last, tree)] = parsed


def _key_like(part: str, tree: dict[str, Any]) -> str:
    return next((key for key in tree if key.lower() == part.lower()), part.lower())


def _check_references(settings: Settings, where: str) -> None:
    ids = [route.id for route in settings.routes]
    for route_id in ids:
        if ids.count(route_id) > 1:
            raise BadSettings(f"{where}: routes: id {route_id!r} is given {ids.count(route_id)} times; every route needs an id of its own.")
    for route_id in settings.policy.fallback_order:
        if route_id not in ids:
            raise BadSettings(
                f"{where}: policy.fallback_order: no route {route_id!r}. Allowed: {', '.join(ids) or 'none, there are no routes'}."
            )
    for index, route in enumerate(settings.routes):
        for currency in route.currencies:
            if currency not in CURRENCIES:
                raise BadSettings(f"{where}: routes[{index}].currencies: {currency!r} is no ISO 4217 currency.")
        _check_country(route.country, f"{where}: routes[{index}].country")
    expected_of(settings.quality.expectations, where=f"{where}: quality.expectations")
    _check_log(settings, where)
    _check_webhook(settings, where)
    check_keys(settings, where)
    for merchant_id, merchant in settings.merchants.items():
        _check_country(merchant.country, f"{where}: merchants.{merchant_id}.country")


def _check_log(settings: Settings, where: str) -> None:
    if settings.data.log is not None:
        try:
            name_of(settings.data.log)
        except BadSettings as error:
            raise BadSettings(f"{where}: {error.message}") from None


def _check_webhook(settings: Settings, where: str) -> None:
    told = settings.retries
    if told.webhook_url is None:
        return
    if not re.match(r"https?://[^/\s]+", told.webhook_url):
        raise BadSettings(f"{where}: retries.webhook_url: {told.webhook_url!r} is no address. Allowed: https://HOST/PATH, or http.")
    n_characters = len(told.webhook_secret or "")
    if n_characters < WEBHOOK_SECRET_MIN:
        raise BadSettings(
            f"{where}: retries.webhook_secret: {n_characters} characters; at least {WEBHOOK_SECRET_MIN} are needed to sign. "
            "Set HONOUR_RETRIES__WEBHOOK_SECRET."
        )


def _check_own_features(settings: Settings, path: Path | None) -> None:
    """Refuse files of features that this process did not read when it started."""
    folder = path.parent if path is not None else Path()
    wanted = [(folder / file).resolve() for file in settings.features.files]
    if wanted and wanted != [file.resolve() for file in OWN_FILES]:
        raise BadSettings(
            f"{path}: features.files: {', '.join(settings.features.files)} are not the files that this process read when it started "
            f"({', '.join(map(str, OWN_FILES)) or 'none'}). Start `honour` with this configuration, or set HONOUR_FEATURES__FILES before."
        )


def _check_country(country: str | None, where: str) -> None:
    if country is not None and country not in COUNTRIES:
        raise BadSettings(f"{where}: {country!r} is no ISO 3166-1 alpha-2 country.")
