"""Every key of honour.toml is described in docs/operating.md, with its true default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pages

from honour.records.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
REQUIRED = "required"


def _keys(kind: msgspec.inspect.Type, path: str = "") -> Iterator[tuple[str, object]]:
    """Keys as the page writes them, `merchants.<id>.mcc`, `routes[].cost.attempt_minor`, with their defaults."""
    match kind:
        case msgspec.inspect.StructType():
            for field in kind.fields:
                inner = list(_keys(field.type, f"{path}.{field.encode_name}".lstrip(".")))
                yield from inner or [(f"{path}.{field.encode_name}".lstrip("."), _default(field))]
        case msgspec.inspect.DictType():
            yield from _keys(kind.value_type, f"{path}.<id>")
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            yield from _keys(kind.item_type, f"{path}[]")
        case msgspec.inspect.UnionType():
            for member in kind.types:
                yield from _keys(member, path)


def _default(field: msgspec.inspect.Field) -> object:
    if field.required:
        return REQUIRED
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _documented() -> dict[str, str]:
    """Key to default, from the tables whose first cell is one key in backticks."""
    rows = pages.table_rows(PAGE.read_text(encoding="utf-8"))
    return {found[1]: cells[1] for _, cells in rows if len(cells) == 3 and (found := re.fullmatch(r"`([a-z_.<>\[\]]+)`", cells[0]))}


def _as_written(default: object) -> set[str]:
    """Ways in which a page may write a default."""
    if default is None:
        return {"not known", "none"}
    if isinstance(default, bool):
        return {str(default).lower(), f"`{str(default).lower()}`"}
    if isinstance(default, str):
        return {default, f"`{default}`"}
    if isinstance(default, int | float):
        return {f"{default:g}", f"{default}", f"`{default:g}`"} | {f"{int(default)}" for _ in [0] if default == int(default)}
    if not default:
        return {"all", "empty"}
    return {f"`{msgspec.json.encode(default).decode()}`"}


def test_every_setting_is_described() -> None:
    described = _documented()
    assert [key for key, _ in _keys(msgspec.inspect.type_info(Settings)) if key not in described] == []


def test_no_setting_is_described_that_is_gone() -> None:
    keys = {key for key, _ in _keys(msgspec.inspect.type_info(Settings))}
    assert [key for key in _documented() if key not in keys] == []


def test_every_default_is_the_one_described() -> None:
    described = _documented()
    for key, default in _keys(msgspec.inspect.type_info(Settings)):
        if key in described:
            assert described[key] in _as_written(default), f"`{key}`: the page says {described[key]}, the default is {default!r}"
