"""What the glossary calls a thing in code is what the code calls it; what is only planned is marked so."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pages
import words

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "glossary.md"


def _names(column: str) -> tuple[list[str], list[str]]:
    """Names said to exist, and names said to be planned."""
    there, _, planned = column.partition("planned:")
    return re.findall(r"`(\w+)`", there), re.findall(r"`(\w+)`", planned)


@cache
def _defined() -> frozenset[str]:
    """Names that src/ defines: classes, functions, arguments, fields and other assigned names."""
    found: set[str] = set()
    for path in (REPOSITORY / "src").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found |= {use.text for use in words.uses_in_code(ast.parse(source), source) if use.is_name}
    return frozenset(found)


def _terms() -> list[list[str]]:
    return [cells for _, cells in pages.table_rows(PAGE.read_text(encoding="utf-8")) if len(cells) == 4]


def test_every_name_in_the_glossary_exists_in_the_code() -> None:
    missing = [name for cells in _terms() for name in _names(cells[2])[0] if name not in _defined()]
    assert missing == [], "in docs/glossary.md as in code, and nowhere in src/: mend the row or mark it planned"


def test_no_name_marked_planned_is_there_already() -> None:
    there = [name for cells in _terms() for name in _names(cells[2])[1] if name in _defined()]
    assert there == [], "marked planned in docs/glossary.md, and written by now: take the mark away"


def test_terms_are_explained_once_and_in_words() -> None:
    terms = [cells[0] for cells in _terms()]
    assert len(terms) > 40
    assert sorted(set(terms)) == sorted(terms)
    assert all(len(cells[1]) > 10 for cells in _terms())


def test_exemptions_name_a_refused_word_files_that_exist_and_a_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    refused = {refusal.word for refusal in words.parse(page).refusals}
    for _, cells in pages.table_rows(page):
        if len(cells) == 3:
            assert set(re.findall(r"`([^`]+)`", cells[0])) <= refused
            assert [pattern for pattern in re.findall(r"`([^`]+)`", cells[1]) if not any(REPOSITORY.glob(pattern))] == []
            assert len(cells[2]) > 10
