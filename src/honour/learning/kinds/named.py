"""Kinds by name, each imported when it is asked for: the deep ones need PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

from honour.errors import CannotTrain
from honour.features.catalogue import FEATURES
from honour.features.view import LastFeature, WindowFeature
from honour.learning.kinds.port import Configuration, Kind, Told

MODULES = {
    "logistic": "honour.learning.kinds.logistic",
    "forest": "honour.learning.kinds.forest",
    "lightgbm": "honour.learning.kinds.boosted_lightgbm",
    "xgboost": "honour.learning.kinds.boosted_xgboost",
    "mixed": "honour.learning.kinds.mixed",
    "tabm": "honour.learning.kinds.deep_tabm",
    "sequence": "honour.learning.kinds.deep_sequence",
}
"""Every kind, the cheapest to serve first among equals."""

DEEP = ("tabm", "sequence")
DEFAULT = "mixed"


def kind_named(name: str) -> Kind:
    """The kind, or CannotTrain for a name that is not known or a library that is not installed."""
    if name not in MODULES:
        raise CannotTrain(f"kind {name!r} is not known; allowed: {', '.join(MODULES)}")
    if name in DEEP and find_spec("torch") is None:
        raise CannotTrain(f"kind {name}: PyTorch is not installed here. Install honour[deep], or take one of {', '.join(available())}.")
    kind: Kind = import_module(MODULES[name]).KIND
    return kind


def available() -> tuple[str, ...]:
    """Names of the kinds that can be fitted here."""
    return tuple(name for name in MODULES if name not in DEEP or find_spec("torch") is not None)


def tuned_configuration(kind: Kind, settings: Mapping[str, float]) -> Configuration:
    """Settings from outside as a configuration; CannotTrain for one that the kind does not have or that lies far outside what it allows."""
    for name, value in settings.items():
        if name not in kind.ranges:
            raise CannotTrain(f"setting {name!r} is none of kind {kind.name}; allowed: {', '.join(kind.ranges)}")
        allowed = kind.ranges[name]
        if not allowed.low <= value <= allowed.high:
            raise CannotTrain(f"setting {name} of kind {kind.name} is {value:g}; allowed: {allowed.low:g} to {allowed.high:g}")
    return Configuration("tuned", {name: round(value) if kind.ranges[name].is_whole else value for name, value in settings.items()})


def level_rates() -> tuple[str, ...]:
    """Approval rates that are the same for every candidate of a payment: how good these days, this merchant, this card are.

    A model may only rise with them. They change slowly, so that a history of weeks holds few of their values and free trees would
    learn the dates instead: on rolling origins that took 0.0005 off the log loss and halved the error of the mean.
    """
    return tuple(
        feature.name
        for feature in FEATURES
        if isinstance(feature, WindowFeature) and feature.measure == "approval_rate" and feature.level == "payment"
    )


def group_windows() -> tuple[str, ...]:
    """Windows over groups of payments; a payment's own history is none."""
    return tuple(feature.name for feature in FEATURES if isinstance(feature, WindowFeature) and "payment_id" not in feature.entity)


def told_by_catalogue(*, seed: int, n_threads: int) -> Told:
    """What the features in force say of the columns of a matrix."""

    def places(names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(place for place, feature in enumerate(FEATURES) if feature.name in names)

    return Told(
        categories=tuple(place for place, feature in enumerate(FEATURES) if feature.kind == "category"),
        rising=places(level_rates()),
        sequence=_sequence(),
        windows=places(group_windows()),
        seed=seed,
        n_threads=n_threads,
    )


def _sequence() -> tuple[tuple[int, ...], ...]:
    """Places of the features of the last answers, newest first; of an answer, those that are declared for every one before it."""
    places = {
        (feature.entity, feature.column, feature.nth): place for place, feature in enumerate(FEATURES) if isinstance(feature, LastFeature)
    }
    columns = sorted({(entity, column) for entity, column, nth in places if nth == 1})
    deepest = max((nth for _, _, nth in places), default=0)
    kept = [one for one in columns if all((*one, nth) in places for nth in range(1, deepest + 1))]
    return tuple(tuple(places[(*one, nth)] for one in kept) for nth in range(1, deepest + 1)) if kept else ()
