"""Every relative link of every page leads somewhere, to the heading it names."""

from __future__ import annotations

from pathlib import Path

import pages
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = pages.pages_of(REPOSITORY)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_relative_link_leads_to_a_file_and_heading_that_are_there(path: Path) -> None:
    broken: list[str] = []
    for link in pages.links(path.read_text(encoding="utf-8")):
        target = (path.parent / link.target).resolve() if link.target else path
        if not target.exists() or not target.is_relative_to(REPOSITORY):
            broken.append(f"line {link.line}: {link.target} is not there")
        elif link.anchor and target.suffix == ".md" and link.anchor not in pages.anchors(target.read_text(encoding="utf-8")):
            broken.append(f"line {link.line}: {link.target or path.name} has no heading #{link.anchor}")
    assert broken == []


def test_the_pages_that_readers_are_sent_to_are_there() -> None:
    expected = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    expected += [f"docs/{name}.md" for name in ("README", "architecture", "commands", "errors", "glossary", "operating")]
    assert [name for name in expected if not (REPOSITORY / name).is_file()] == []
