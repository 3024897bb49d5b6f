"""Every command and option is described in docs/commands.md, and every command a page tells to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import command_line
import pages
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "commands.md"
SHELL = {"bash", "sh", "shell", "console"}
PAGES = pages.pages_of(REPOSITORY)


def _title(command: command_line.Command) -> str:
    return f"honour {' '.join(command.words)}"


def test_every_command_has_a_section_that_describes_every_option() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing: list[str] = []
    for command in command_line.commands():
        section = pages.section(page, _title(command))
        if section is None:
            missing.append(f"heading '{_title(command)}'")
            continue
        unsaid = [spellings[0] for spellings in command.options if not any(re.search(rf"`{re.escape(s)}\b", section) for s in spellings)]
        unsaid += [name for name in command.arguments if name.lower() not in section.lower()]
        missing += [f"{name} in section '{_title(command)}'" for name in unsaid]
    assert missing == []


def test_no_section_describes_a_command_or_option_that_is_gone() -> None:
    page = PAGE.read_text(encoding="utf-8")
    titles = [title.replace("`", "") for _, _, title in pages.headings(page)]
    known = {_title(command): command for command in command_line.commands()}
    groups = {title.rsplit(" ", 1)[0] for title in known}
    assert [title for title in titles if title.startswith("honour ") and title not in known and title not in groups] == []
    for title, command in known.items():
        allowed = {spelling for spellings in command.options for spelling in spellings} | {"--help"}
        rows = re.findall(r"^(?:\| *|- )`(--[\w-]+)", pages.section(page, title) or "", re.MULTILINE)
        assert [option for option in rows if option not in allowed] == [], f"section '{title}'"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_command_a_page_tells_to_type_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wrong: list[str] = []
    for block in pages.blocks(path.read_text(encoding="utf-8")):
        for program, *words in command_line.told(block.text) if block.language in SHELL else ():
            if program == "make":
                wrong += [
                    f"make has no target {word}" for word in words if "=" not in word and not word.startswith("-") and word not in targets
                ]
            elif why := command_line.why_not_a_command(words):
                wrong.append(why)
    assert wrong == []
