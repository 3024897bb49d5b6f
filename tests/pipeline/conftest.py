"""Makes the shop beside these tests importable, and its fixtures known."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pipeline_shop import cut, finished  # noqa: F401 - the path stands above; fixtures are used by name.
