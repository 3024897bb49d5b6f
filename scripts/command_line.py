"""The command line as a tree, for the tests that hold pages against it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import typer


class Command(NamedTuple):
    """One command: its words after `honour`, its options with all their spellings, its arguments as help writes them."""

    words: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    arguments: tuple[str, ...]


@cache
def commands() -> tuple[Command, ...]:
    """Every command that is not hidden, groups left out."""
    return tuple(_walk(_root(), ()))


def root_options() -> set[str]:
    """Options before the command, such as --version."""
    return {spelling for parameter in _root().params for spelling in (*parameter.opts, *parameter.secondary_opts)}


def _root() -> Any:
    from honour.cli.app import app  # Here, so that a command line that cannot be imported fails the tests that need it, and no other.

    return typer.main.get_command(app)


def _walk(node: Any, words: tuple[str, ...]) -> Iterator[Command]:
    if inner := getattr(node, "commands", None):
        for name, child in sorted(inner.items()):
            if not child.hidden:
                yield from _walk(child, (*words, name))
        return
    shown = [parameter for parameter in node.params if not getattr(parameter, "hidden", False)]
    yield Command(
        words=words,
        options=tuple((*p.opts, *p.secondary_opts) for p in shown if p.param_type_name == "option"),
        arguments=tuple(p.metavar or p.name.upper() for p in shown if p.param_type_name == "argument"),
    )


def told(block: str) -> Iterator[list[str]]:
    """Commands of `honour` and `make` in a shell block, as lists of words; continued lines are joined.

    Where lines begin with `$ `, the others are output.

    >>> list(told("$ PORT=1 .venv/bin/honour serve --port 1 &\\nhonour 0.1.0\\n$ cd x && make demo  # a minute"))
    [['honour', 'serve', '--port', '1'], ['make', 'demo']]
    """
    lines = re.sub(r"\\\n\s*", " ", block).splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
    for line in typed:
        for part in re.split(r"\s(?:&&|\|\||\||;|&)(?:\s|$)", line.strip()):
            if found := re.match(r"(?:\w+=\S*\s+|time\s+|sudo\s+)*(?:\S*/)?(honour|make)(?:\s|$)(.*)", part):
                yield [found[1], *shlex.split(found[2], comments=True)]


def why_not_a_command(words: list[str]) -> str | None:
    """What is wrong with `honour ...`, or None: a command that is there, with options that it has."""
    if not words or words[0].startswith("-"):
        return None if set(words) <= root_options() | {"--help"} else f"honour has no option among {words}"
    fitting = [command for command in commands() if tuple(words[: len(command.words)]) == command.words]
    if not fitting:
        group = [command for command in commands() if command.words[0] == words[0]]
        return None if group and words[1:] == ["--help"] else f"honour has no command '{' '.join(words[:2])}'"
    allowed = {spelling for spellings in fitting[0].options for spelling in spellings} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word.split("=")[0] not in allowed]
    return f"honour {' '.join(fitting[0].words)} has no option {', '.join(wrong)}" if wrong else None
