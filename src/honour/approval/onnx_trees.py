"""Trees out of an ONNX file: the TreeEnsembleClassifier of a binary model, as flat arrays.

Source of the layout: onnx.proto3 and the operator ai.onnx.ml TreeEnsembleClassifier (onnx/onnx, docs/Operators-ml.md).
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.onnx_file import GRAPH_NODE, NODE_OPERATOR, fields, graph_of, last, varints

_NODE_ATTRIBUTE = 5
_NAME, _STRING, _FLOATS, _INTS, _STRINGS = 1, 4, 7, 8, 9
_OPERATOR = "TreeEnsembleClassifier"
OPERATORS = {_OPERATOR, "Identity", "Cast", "Mul"}
"""What a file of trees and nothing else computes with."""
_LINKS = (b"LOGISTIC", b"NONE")
_PLACES_MAX = 65_535
_LARGEST = float(np.finfo(np.float32).max)

NODE = np.dtype([("feature", np.uint16), ("child", np.uint16), ("threshold", np.float32)])
"""8 bytes a node, so that hundreds of trees stay in a core's own cache. See `Trees`."""


class Trees(NamedTuple):
    """Trees whose leaves, summed, are the logit of approval, or its probability.

    nodes    (n_nodes,) of NODE, tree after tree, each from its root, the two children of a node side by side. A node sends a row to
             `child` (counted from its tree's root) when its value is at most `threshold`, else to the one behind. `feature` below
             n_features: missing goes to the one behind; from n_features on: missing goes to `child`. A leaf has feature
             2 n_features, itself as child, and its value as threshold
    starts   (n_trees,) place of each root
    is_logit  the sum is a logit
    """

    nodes: NDArray[Any]
    starts: NDArray[np.int64]
    n_features: int
    is_logit: bool


def trees_of(onnx_bytes: bytes, *, n_features: int) -> Trees | None:
    """The trees, or None when there are none or they hold anything that this reader does not know for certain: then ONNX Runtime is asked.

    What else the graph computes is not looked at (`honour.approval.onnx_file.operators_of` says it).
    """
    try:
        attributes = _classifier(onnx_bytes)
        return _flat(attributes, n_features=n_features) if attributes is not None else None
    except (IndexError, KeyError, ValueError, struct.error):
        return None


def _classifier(model: bytes) -> dict[str, Any] | None:
    """Attributes of the one tree ensemble; None when there is another number of them."""
    ensembles = [node for node in graph_of(model, GRAPH_NODE) if last(node, NODE_OPERATOR).decode() == _OPERATOR]
    if len(ensembles) != 1:
        return None
    return dict(_attribute(value) for at, value in fields(ensembles[0]) if at == _NODE_ATTRIBUTE)


def _attribute(content: bytes) -> tuple[str, Any]:
    name, string, floats, ints, strings = "", b"", list[float](), list[int](), list[bytes]()
    for field, value in fields(content):
        if field == _NAME:
            name = value.decode()
        elif field == _STRING:
            string = value
        elif field == _FLOATS:
            floats += np.frombuffer(value, dtype="<f4").tolist()
        elif field == _INTS:
            ints += [value] if isinstance(value, int) else list(varints(value))
        elif field == _STRINGS:
            strings.append(value)
    return name, ints or floats or strings or string


def _flat(said: dict[str, Any], *, n_features: int) -> Trees | None:
    modes = said["nodes_modes"]
    if set(modes) - {b"BRANCH_LEQ", b"LEAF"} or said["post_transform"] not in _LINKS or any(said.get("base_values") or ()):
        return None
    if set(said["class_ids"]) != {0} or len(said["classlabels_int64s"]) != 2:
        return None
    value_of = dict(zip(zip(said["class_treeids"], said["class_nodeids"], strict=True), said["class_weights"], strict=True))
    places: dict[int, dict[int, int]] = {}
    for at, (tree, node) in enumerate(zip(said["nodes_treeids"], said["nodes_nodeids"], strict=True)):
        places.setdefault(tree, {})[node] = at
    if len(value_of) != len(said["class_weights"]) or n_features * 2 > _PLACES_MAX:
        return None
    nodes: list[tuple[int, int, float]] = []
    starts = []
    for tree, place_of in places.items():
        starts.append(len(nodes))
        grown = list(_tree(said, tree=tree, place_of=place_of, value_of=value_of, n_features=n_features))
        if len(grown) > _PLACES_MAX:
            return None
        nodes += grown
    flat = np.array(nodes, dtype=NODE)
    if not np.isfinite(flat["threshold"]).all():
        return None
    return Trees(flat, np.array(starts, dtype=np.int64), n_features, is_logit=said["post_transform"] == b"LOGISTIC")


def _tree(
    said: dict[str, Any], *, tree: int, place_of: dict[int, int], value_of: dict[tuple[int, int], float], n_features: int
) -> list[tuple[int, int, float]]:
    """One tree, level by level: feature, child, threshold of each node."""
    missing_true = said.get("nodes_missing_value_tracks_true") or [0] * len(said["nodes_modes"])
    waiting, grown = [0], list[tuple[int, int, float]]()
    for node in waiting:  # Grows while it is walked.
        at = place_of[node]
        if said["nodes_modes"][at] == b"LEAF":
            grown.append((2 * n_features, len(grown), value_of[tree, node]))
            continue
        feature = said["nodes_featureids"][at]
        if not 0 <= feature < n_features or len(waiting) > len(place_of):
            raise ValueError("not a tree")
        # A split of what is missing from all the rest has an infinite threshold, which missing itself must lie above.
        threshold = min(said["nodes_values"][at], _LARGEST)
        grown.append((feature + n_features * (missing_true[at] == 1), len(waiting), threshold))
        waiting += (said["nodes_truenodeids"][at], said["nodes_falsenodeids"][at])
    return grown
