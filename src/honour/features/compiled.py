"""Functions of plain arithmetic on arrays, compiled when they are first called or read from a cache beside their file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled; it lets go of Python's lock while it runs. What it divides by zero is infinite or NaN."""
    import numba  # Half a second, which only those pay who decide.

    try:
        return numba.njit(function, nogil=True, cache=True, error_model="numpy")
    except RuntimeError:  # No folder may be written to: compiled anew at each start.
        return numba.njit(function, nogil=True, error_model="numpy")
