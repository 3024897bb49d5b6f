"""Reading an ONNX file as the protocol buffer that it is: serving needs no other library for it.

Source of the numbers of fields: onnx.proto3 (onnx/onnx).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MODEL_GRAPH = 7
GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
NODE_OPERATOR = 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 7: np.dtype("<i8")}


def graph_of(model: bytes, wanted: int) -> list[bytes]:
    """All values of one field of the model's graph."""
    (graph,) = [value for field, value in fields(model) if field == _MODEL_GRAPH]
    return [value for field, value in fields(graph) if field == wanted]


def operators_of(model: bytes) -> set[str]:
    """Names of the operators of the graph."""
    return {last(node, NODE_OPERATOR).decode() for node in graph_of(model, GRAPH_NODE)}


def constants_of(model: bytes) -> dict[str, NDArray[Any]]:
    """The graph's constants by name, those of float32 and int64 that are kept as raw bytes."""
    found: dict[str, NDArray[Any]] = {}
    for tensor in graph_of(model, _GRAPH_INITIALIZER):
        shape, kind, name, raw = list[int](), 0, "", b""
        for field, value in fields(tensor):
            if field == _TENSOR_DIMS:
                shape += [value] if isinstance(value, int) else list(varints(value))
            elif field == _TENSOR_TYPE:
                kind = value
            elif field == _TENSOR_NAME:
                name = value.decode()
            elif field == _TENSOR_RAW:
                raw = value
        if kind in _TYPES and len(raw) == math.prod(shape) * _TYPES[kind].itemsize:
            found[name] = np.frombuffer(raw, dtype=_TYPES[kind]).reshape(shape)
    return found


def fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer message: number, and an integer or the bytes."""
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        match key & 7:
            case 0:
                value, at = _varint(content, at)
                yield key >> 3, value
            case 2:
                size, at = _varint(content, at)
                yield key >> 3, content[at : at + size]
                at += size
            case 1 | 5 as wire:
                size = 8 if wire == 1 else 4
                yield key >> 3, content[at : at + size]
                at += size
            case _:
                raise ValueError("not a protocol buffer")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def varints(content: bytes) -> Iterator[int]:
    """Numbers packed one after another."""
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def last(content: bytes, wanted: int) -> bytes:
    """The last value of a field, which is the one that holds; empty when there is none."""
    return next((value for field, value in reversed(list(fields(content))) if field == wanted), b"")
