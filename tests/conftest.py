"""What every test may use: shared public data, expected files, and randomness that repeats in CI."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
GOLDEN = REPOSITORY / "tests" / "golden"
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
REWRITES_GOLDEN = os.environ.get("HONOUR_GOLDEN") == "write"

# The checks under scripts/ are tested like any other code.
sys.path.insert(0, str(REPOSITORY / "scripts"))
# Real servers that tests of several folders start.
sys.path.insert(0, str(REPOSITORY / "tests"))

# Examples repeat in CI, so that a red run is red again; by hand they wander, so that new cases are found.
# No deadline anywhere: a slow machine is not a wrong answer.
settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("hand", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "hand")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data sets, `shared/data` beside the repository; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no folder ../shared/data beside the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def real_postgres() -> Iterator[Any]:
    """A PostgreSQL server (`real_postgres.RealPostgres`), one for each process of tests; who kills it starts it again."""
    from real_postgres import RealPostgres

    # Not below pytest's folder, which is closed to the other user that the server runs as where tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="honour-postgres-"))
    server = RealPostgres(folder / "data")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare text with the expected file of that name: `golden("decision.json", text)`; `make golden` rewrites it instead."""

    def compare(name: str, text: str) -> None:
        expected = GOLDEN / name
        if REWRITES_GOLDEN:
            expected.parent.mkdir(parents=True, exist_ok=True)
            expected.write_text(text, encoding="utf-8")
            return
        assert expected.is_file(), f"tests/golden/{name} is not there: run `make golden` and read the new file"
        assert text == expected.read_text(encoding="utf-8"), (
            f"tests/golden/{name} differs: if that is on purpose, run `make golden` and read the diff"
        )

    return compare


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make golden` runs only the tests that have an expected file."""
    if not REWRITES_GOLDEN:
        return
    kept = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
