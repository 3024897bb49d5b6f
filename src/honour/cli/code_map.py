"""Reading the code maps that honour.toml names: one TOML file of each acquirer, checked against the tables of the networks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from honour.errors import BadSettings
from honour.networks.code_map import why_unknown
from honour.records.settings import CodeMap, MappedCode, Settings


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of code maps: `[codes]`, the acquirer's code to the network's."""

    codes: dict[str, MappedCode]


def with_code_maps(settings: Settings, *, path: Path | None, where: str) -> Settings:
    """The settings with every map's codes; BadSettings for a file, acquirer or code that does not exist."""
    maps: list[CodeMap] = []
    acquirers = sorted({route.acquirer for route in settings.routes if route.acquirer is not None})
    for index, one in enumerate(settings.code_maps):
        place = f"{where}: code_maps[{index}]"
        if one.acquirer not in acquirers:
            raise BadSettings(
                f"{place}.acquirer: no route has acquirer {one.acquirer!r}. Allowed: {', '.join(acquirers) or 'none; set routes.acquirer'}."
            )
        if any(one.acquirer == other.acquirer for other in maps):
            raise BadSettings(f"{place}.acquirer: {one.acquirer!r} has a map already; put its codes into one file.")
        maps.append(_filled(one, folder=path.parent if path is not None else Path(), place=place))
    return msgspec.structs.replace(settings, code_maps=tuple(maps))


def _filled(one: CodeMap, *, folder: Path, place: str) -> CodeMap:
    codes = dict(one.codes)
    if one.file is not None:
        codes = {**_read(folder / one.file, place=place), **codes}
    for code, mapped in codes.items():
        if (unknown := why_unknown(mapped)) is not None:
            raise BadSettings(
                f"{place}: {code!r} is mapped to {unknown}, which no table of the networks knows. "
                "`honour explain-code --network NETWORK CODE` says which are known."
            )
    return msgspec.structs.replace(one, codes=codes)


def _read(file: Path, *, place: str) -> dict[str, MappedCode]:
    try:
        return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File).codes
    except FileNotFoundError:
        raise BadSettings(f"{place}.file: {file}: no such file. Paths are relative to honour.toml.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{place}.file: {file}: cannot be read as TOML: {error}.") from None
    except msgspec.ValidationError as error:
        raise BadSettings(f'{place}.file: {file}: {error}. Allowed: [codes] with lines such as D51 = {{ response_code = "51" }}.') from None
