"""What the tests of stores share: the modules `table_kit` and `log_kit` beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
