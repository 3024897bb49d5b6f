"""Reading the tables that come with the world: TOML, checked against their types."""

from __future__ import annotations

from importlib import resources
from typing import TypeVar

import msgspec

Content = TypeVar("Content")


def read(name: str, *, as_type: type[Content]) -> Content:
    """The content of tables/`name`.toml."""
    text = (resources.files(__package__) / "tables" / f"{name}.toml").read_bytes()
    return msgspec.toml.decode(text, type=as_type)
