"""Which code made a figure."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str | None:
    """The commit that is checked out where Honour's code lies, if a repository holds it; `+` when files differ from it."""
    head = _git("rev-parse", "HEAD")
    # An installation may lie within a repository of somebody else's, which does not hold it.
    if head is None or not _git("ls-files", Path(__file__).name):
        return None
    return head + ("+" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str | None:
    try:
        told = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() if told.returncode == 0 else None
