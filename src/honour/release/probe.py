"""Loads a bundle in a process of its own: what crashes or never ends there harms nobody.

python -m honour.release.probe FOLDER     exits with 0 when it holds; with 1, and why on standard output, when it does not
"""

from __future__ import annotations

import sys
from pathlib import Path

from honour.errors import BundleRefused
from honour.release.bundle import load_bundle


def main(folder: Path) -> int:
    """Load the bundle with every check."""
    try:
        load_bundle(folder)
    except BundleRefused as error:
        sys.stdout.write(error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
