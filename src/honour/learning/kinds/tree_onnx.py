"""Trees as arrays to ONNX: a TreeEnsembleClassifier whose every comparison is `x <= threshold` in float32, missing values tracked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

OPSET = 15
ML_OPSET = 3
Link = Literal["LOGISTIC", "NONE"]


class Tree(NamedTuple):
    """One tree, (n_nodes,) each, root first.

    left, right   children; left is -1 for a leaf. A row goes left when its value is at most `threshold`
    missing_left  where a missing value goes
    value         of a leaf
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]


def lowered(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest float32 that is not above each threshold: for a float32 x, x <= t holds with one as with the other."""
    singles = thresholds.astype(np.float32)
    above = singles.astype(np.float64) > thresholds
    singles[above] = np.nextafter(singles[above], np.float32(-np.inf))
    return singles


def trees_to_onnx(trees: Sequence[Tree], *, n_features: int, link: Link) -> bytes:
    """ONNX of the sum of the leaves (through 1 / (1 + exp(-sum)) when `link` is LOGISTIC): (n, n_features) to (n, 2)."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1],
        post_transform=link,
        **_attributes(trees),
    )
    graph = helper.make_graph(
        [node],
        "honour",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, n_features])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="honour")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _attributes(trees: Sequence[Tree]) -> dict[str, Any]:
    is_leaf = [tree.left < 0 for tree in trees]
    numbers = [np.arange(len(tree.left)) for tree in trees]
    owners = [np.full(len(tree.left), at) for at, tree in enumerate(trees)]
    leaf, number, owner = np.concatenate(is_leaf), np.concatenate(numbers), np.concatenate(owners)

    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    value = of("value")
    return {
        "nodes_treeids": owner.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_featureids": np.where(leaf, 0, of("feature")).tolist(),
        "nodes_values": np.where(leaf, np.float32(0.0), of("threshold")).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, of("left")).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, of("right")).tolist(),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, of("missing_left")).tolist(),
        "class_treeids": owner[leaf].tolist(),
        "class_nodeids": number[leaf].tolist(),
        "class_ids": [0] * int(leaf.sum()),
        "class_weights": value[leaf].astype(np.float32).tolist(),
    }
