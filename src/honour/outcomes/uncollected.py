"""Folding without garbage collection: a log becomes millions of small objects that stay, and collecting among them doubles the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is looked at for cycles meanwhile, unless somebody outside has turned that off already and keeps it so."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
