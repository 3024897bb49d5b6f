"""Python on a page runs, in order, and prints what the page says it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pages
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
END_OF_BLOCK = "==== end of block ===="


def _examples(path: Path) -> list[tuple[pages.Block, str | None]]:
    """Python blocks of a page, each with the text block right after it, if any."""
    found = pages.blocks(path.read_text(encoding="utf-8")) if path.is_file() else []
    after: list[pages.Block | None] = [*found[1:], None][: len(found)]
    return [
        (block, following.text if following is not None and following.language == "text" else None)
        for block, following in zip(found, after, strict=True)
        if block.language == "python"
    ]


WITH_EXAMPLES = [path for path in pages.pages_of(REPOSITORY) if _examples(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_python_on_a_page_prints_what_the_page_says(path: Path, tmp_path: Path) -> None:
    examples = _examples(path)
    program = "".join(f"{block.text}\nprint({END_OF_BLOCK!r})\n" for block, _ in examples)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 0, run.stderr
    printed = [part.strip() for part in run.stdout.split(END_OF_BLOCK)][:-1]
    for (block, expected), actual in zip(examples, printed, strict=True):
        if expected is not None:
            assert actual == expected.strip(), f"{path.name}, block at line {block.line}"


def test_the_readme_shows_python_with_its_output() -> None:
    assert any(expected for _, expected in _examples(REPOSITORY / "README.md")), (
        "README.md has no ```python block followed by a ```text block"
    )
