"""The glossary as a check: which words docs/glossary.md refuses, where, and what to say instead."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from typing import NamedTuple

import pages

GLOSSARY_PAGE = "docs/glossary.md"

_REFUSED = re.compile(r"`([^`]+)`(\s*\(names\))?")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Refusal(NamedTuple):
    """A word that is not ours, and the term that is; `names_only` when the word has an honest meaning in a sentence."""

    word: str
    term: str
    names_only: bool


class Use(NamedTuple):
    """A name that code defines, or a piece of text that a person reads."""

    line: int
    text: str
    is_name: bool


class Exemption(NamedTuple):
    """A refused word that files of this pattern may use."""

    word: str
    pattern: str


class Glossary(NamedTuple):
    """Refused words of the last column, and the exemptions of the page's second table."""

    refusals: tuple[Refusal, ...]
    exemptions: tuple[Exemption, ...]

    def refused_in(self, use: Use, *, path: str) -> list[Refusal]:
        """Refused words that `use` holds as whole words, in file `path`.

        In names a word is a run of whole parts: `txn` is in `txn_id` and `TxnId`, not in `txnless`.
        """
        spoken = " ".join(_parts(use.text)) if use.is_name else use.text
        return [
            refusal
            for refusal in self.refusals
            if (use.is_name or not refusal.names_only)
            and _pattern(refusal.word, is_name=use.is_name).search(spoken)
            and not any(exemption.word == refusal.word and fnmatch(path, exemption.pattern) for exemption in self.exemptions)
        ]


def parse(page: str) -> Glossary:
    """The refused words of the glossary page: what stands in backticks in the last of four columns.

    A word in backticks is refused everywhere; followed by `(names)`, in names only. Words without backticks are advice.
    The table of three columns holds the exemptions: word, file pattern, why.
    """
    refusals: list[Refusal] = []
    exemptions: list[Exemption] = []
    for _, cells in pages.table_rows(page):
        if len(cells) == 4:
            term = cells[0].replace("`", "")
            refusals += [Refusal(word=word, term=term, names_only=bool(names)) for word, names in _REFUSED.findall(cells[3])]
        elif len(cells) == 3:
            found = [[word for word, _ in _REFUSED.findall(cell)] for cell in cells[:2]]
            exemptions += [Exemption(word=word, pattern=pattern) for word in found[0] for pattern in found[1]]
    return Glossary(refusals=tuple(refusals), exemptions=tuple(exemptions))


def uses_in_code(module: ast.Module, source: str) -> Iterator[Use]:
    """Names that a module defines, and its docstrings, comments and messages (text with a blank in it).

    Names it only uses belong to others: `pa.timestamp` is not ours to rename.
    """
    for node in ast.walk(module):
        for name in _defined_by(node):
            yield Use(line=getattr(node, "lineno", 1), text=name, is_name=True)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            for offset, line in enumerate(node.value.splitlines()):
                yield Use(line=node.lineno + offset, text=line, is_name=False)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Use(line=token.start[0], text=token.string, is_name=False)


def _defined_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
    elif isinstance(node, ast.alias) and node.asname:
        yield node.asname


def _parts(name: str) -> list[str]:
    """Words of a name in small letters: `TxnId`, `txn_id` and `TXN_ID` are txn, id."""
    return [part.lower() for part in _PARTS.findall(name)]


@cache
def _pattern(word: str, *, is_name: bool) -> re.Pattern[str]:
    """The word with its plural; in text in small letters or with a capital first, so that SQL's own words in capitals pass."""
    if is_name:
        return re.compile(rf"(?<!\S){re.escape(' '.join(_parts(word)))}s?(?!\S)")
    first, rest = word[0], word[1:]
    head = f"[{first.upper()}{first}]" if first.islower() else re.escape(first)
    return re.compile(rf"(?<![\w]){head}{re.escape(rest)}s?(?![\w])")
