"""Every error has its section in docs/errors.md, and says the same there as in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest

from honour import errors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HonourError)]


def _section(kind: type[errors.HonourError]) -> str:
    text = PAGE.read_text(encoding="utf-8")
    titles = [title for _, level, title in pages.headings(text) if level == 2 and pages.anchors(f"## {title}") == [kind.anchor]]
    assert titles, f"docs/errors.md has no section with the anchor #{kind.anchor} of {kind.__name__}"
    found = pages.section(text, titles[0])
    assert found is not None
    return found


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_section_that_names_its_class_and_exit_code(kind: type[errors.HonourError]) -> None:
    section = _section(kind)
    assert f"`{kind.__name__}`" in section
    assert re.findall(r"exit code (\d)", section) == [str(kind.exit_code)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_section_shows_a_message_with_its_anchor_and_says_what_to_do(kind: type[errors.HonourError]) -> None:
    section = _section(kind)
    assert "**What to do.**" in section
    if kind is not errors.HonourError:  # The base is never raised as itself.
        assert any(f"docs/errors.md#{kind.anchor}" in block.text for block in pages.blocks(section))


def test_no_section_describes_an_error_that_is_gone() -> None:
    sections = [title for _, level, title in pages.headings(PAGE.read_text(encoding="utf-8")) if level == 2]
    assert sorted(anchor for title in sections for anchor in pages.anchors(f"## {title}")) == sorted(kind.anchor for kind in CLASSES)
