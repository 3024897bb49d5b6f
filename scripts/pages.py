"""Markdown pages of the repository: headings, links, fenced blocks and tables, as the checks read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w-]*)")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_INLINE_CODE = re.compile(r"`[^`]*`")
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")


@dataclass(frozen=True)
class Block:
    """A fenced block: the word after the fence, the line its text starts on, its text."""

    language: str
    line: int
    text: str


@dataclass(frozen=True)
class Link:
    """A relative link as written: the file part (empty for the page itself) and the anchor (empty for none)."""

    line: int
    target: str
    anchor: str


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside fenced blocks, with their numbers."""
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        found = _FENCE.match(line)
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence) and not found[2]:
            fence = ""
        elif not fence:
            yield number, line


def blocks(text: str) -> list[Block]:
    """Fenced blocks in order of the page."""
    language, fence, start = "", "", 0
    held: list[str] = []
    made: list[Block] = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = _FENCE.match(line)
        if found and not fence:
            fence, language, start, held = found[1], found[2], number + 1, []
        elif found and found[1].startswith(fence) and not found[2]:
            made.append(Block(language=language, line=start, text="\n".join(held)))
            fence = ""
        elif fence:
            held.append(line)
    return made


def headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, level and title of each heading."""
    for number, line in prose(text):
        if found := _HEADING.match(line):
            yield number, len(found[1]), found[2]


def anchors(text: str) -> list[str]:
    """What `#...` may name on the page: the title in small letters, spaces as dashes; a repeated one gets -1, -2, ...

    >>> anchors("# One page\\n## `honour demo`\\n## One page")
    ['one-page', 'honour-demo', 'one-page-1']
    """
    seen: Counter[str] = Counter()
    found: list[str] = []
    for _, _, title in headings(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found + re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)


def links(text: str) -> Iterator[Link]:
    """Links that stay in the repository; `https:`, `mailto:` and the like are left out."""
    for number, line in prose(text):
        for target in _LINK.findall(_INLINE_CODE.sub("", line)):
            if not _ELSEWHERE.match(target):
                path, _, anchor = target.partition("#")
                yield Link(line=number, target=path, anchor=anchor)


def section(text: str, title: str) -> str | None:
    """Text under the heading `title`, to the next heading of its level or above; None when there is no such heading."""
    lines = text.splitlines()
    start = level = 0
    for number, depth, name in headings(text):
        if start and depth <= level:
            return "\n".join(lines[start : number - 1])
        if not start and name.replace("`", "") == title:
            start, level = number, depth
    return "\n".join(lines[start:]) if start else None


def table_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each table row, heads and rules left out; a `|` inside code is not a border."""
    width = 0
    for number, line in prose(text):
        if not line.startswith("|"):
            width = 0
            continue
        masked = _INLINE_CODE.sub(lambda found: found[0].replace("|", "\0"), line).replace("\\|", "\0")
        cells = [cell.strip().replace("\0", "|") for cell in masked.strip().strip("|").split("|")]
        if all(set(cell) <= set("-: ") for cell in cells):
            width = len(cells)
        elif width:
            yield number, cells


def pages_of(root: Path) -> list[Path]:
    """Every page that people read: the ones beside README.md, and those under docs, deploy, examples and benchmarks."""
    found = sorted(root.glob("*.md"))
    for folder in ("docs", "deploy", "examples", "benchmarks"):
        found += sorted((root / folder).rglob("*.md"))
    return found
