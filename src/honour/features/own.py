"""Features that an installation declares in its own Python files, named by `features.files` of honour.toml.

A file holds a tuple or list FEATURES of declarations from `honour.features.view`. It is read once, when a process starts: by the
environment variable HONOUR_FEATURES__FILES (a JSON list of paths), which the command `honour` sets from honour.toml, so that
every process of an installation computes the same catalogue. Their declarations are part of the catalogue's content hash.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from honour.errors import BadInput, BadSettings
from honour.features.view import (
    AttributeFeature,
    Catalogue,
    ContextFeature,
    DecayedFeature,
    Feature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)

VARIABLE = "HONOUR_FEATURES__FILES"
KINDS = (ContextFeature, AttributeFeature, LocalTimeFeature, WindowFeature, LastFeature, DecayedFeature)


def own_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that the environment names."""
    said = environment.get(VARIABLE, "")
    if not said:
        return ()
    try:
        return tuple(Path(path) for path in msgspec.json.decode(said, type=list[str]))
    except msgspec.DecodeError as error:
        raise BadSettings(f'environment variable {VARIABLE}: {error}. Give a JSON list of paths, such as ["features.py"].') from None


def own_features(files: Sequence[Path]) -> tuple[Feature, ...]:
    """What the files declare, in their order."""
    return tuple(feature for path in files for feature in read_features(path))


def read_features(path: Path) -> tuple[Feature, ...]:
    """The declarations of one file, or BadSettings that names file and entry."""
    if not path.is_file():
        raise BadSettings(f"features.files: {path}: no such file. Paths are relative to honour.toml.")
    try:
        said = runpy.run_path(str(path)).get("FEATURES")
    except Exception as error:  # Somebody's own file may raise anything; it is named, and nothing starts.
        raise BadSettings(
            f"features.files: {path}: {type(error).__name__}: {error}. Mend the file; `python {path}` shows where."
        ) from error
    if not isinstance(said, Sequence) or isinstance(said, str):
        found = "nothing" if said is None else type(said).__name__
        raise BadSettings(f"features.files: {path}: needs FEATURES, a tuple of declarations from honour.features.view; found {found}.")
    for at, feature in enumerate(said):
        if not isinstance(feature, KINDS):
            allowed = ", ".join(kind.__name__ for kind in KINDS)
            raise BadSettings(f"features.files: {path}: FEATURES[{at}] is a {type(feature).__name__}; allowed: {allowed}.")
    return tuple(said)


def combined(honours: Sequence[Feature], own: Sequence[Feature]) -> Catalogue:
    """One catalogue, own features after Honour's of the same level; BadSettings when a declaration cannot hold."""
    ordered = [feature for level in ("payment", "candidate") for feature in (*honours, *own) if feature.level == level]
    try:
        return Catalogue(tuple(ordered))
    except BadInput as error:
        if not own:
            raise
        raise BadSettings(f"features.files: {error.message}.") from None
