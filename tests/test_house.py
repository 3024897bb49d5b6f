"""The house rules find what they are there to find, and let good code pass."""

from __future__ import annotations

import ast
import doctest
import subprocess
from pathlib import Path

import command_line
import pages
import pytest
import tidy
import words

GLOSSARY = """
| term | meaning | in code | not |
|---|---|---|---|
| payment | what a shopper wants to pay | `Payment` | `transaction`, `txn`, order |
| event time | when it happened | `happened_at` | `timestamp` (names) |

| word | where | why |
|---|---|---|
| `txn` | `examples/mappings/*` | column of a foreign file |
"""
DOC = '"""What the reader gets."""\n'


def _tree(**files: str) -> tidy.Tree:
    """A tree of files; `src__honour__a_py` is src/honour/a.py."""
    text = {name.replace("__", "/").replace("_py", ".py").replace("_md", ".md"): source for name, source in files.items()}
    return tidy.Tree(text=text, code={path: ast.parse(source) for path, source in text.items() if path.endswith(".py")})


def _said(found: object) -> list[str]:
    return [str(finding) for finding in found]  # type: ignore[attr-defined]  # any iterator of findings


def test_the_tree_is_tidy_to_the_point_of_being_readable() -> None:
    tree = tidy.read_tree(Path(__file__).resolve().parents[1])
    assert "src/honour/errors.py" in tree.code
    assert not any(path.startswith(".venv") for path in tree.text)


def test_a_finding_says_file_line_what_and_what_is_allowed() -> None:
    found = _said(tidy.size_findings(_tree(src__honour__a_py="x = 1\n" * 401)))
    assert found == ["src/honour/a.py:401: 401 lines; allowed: 400 lines a file; split it by topic"]


def test_a_file_of_400_lines_passes() -> None:
    assert _said(tidy.size_findings(_tree(src__honour__a_py="x = 1\n" * 400))) == []


@pytest.mark.parametrize(("n_lines", "passes"), [(60, True), (61, False)])
def test_a_function_has_sixty_lines_beyond_its_docstring(n_lines: int, passes: bool) -> None:
    source = 'def f():\n    """First.\n\n    Second.\n    """\n' + "    x = 1\n" * n_lines
    assert (_said(tidy.size_findings(_tree(src__honour__a_py=source))) == []) is passes


def test_imports_count_packages_once_and_neither_the_standard_library_nor_records_and_errors() -> None:
    library = "import os, re, json, csv, math, time, enum, sys, ast, io, abc, cmath\n"
    foreign = "import numpy as np\nimport numpy.linalg\nfrom numpy import array\n"
    own = "".join(f"from honour.p{index}.m import a, b\nfrom honour.p{index}.n import c\n" for index in range(9))
    assert _said(tidy.size_findings(_tree(src__honour__a_py=library + foreign + own))) == []
    assert (
        "11 imported packages"
        in _said(tidy.size_findings(_tree(src__honour__a_py=foreign + own + "import honour.q\nfrom honour.records.card import x\n")))[0]
    )


def test_public_modules_classes_functions_and_methods_say_what_the_reader_gets() -> None:
    source = "class A:\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\ndef _i(): ...\n"
    found = _said(tidy.docstring_findings(_tree(src__honour__a_py=source)))
    assert [line.split("; ")[0].split(": ", 1)[1] for line in found] == [
        "module without docstring",
        "A has no docstring",
        "A.f has no docstring",
        "h has no docstring",
    ]
    assert _said(tidy.docstring_findings(_tree(tests__test_a_py="def test_b(): ...\n"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "# TO" + "DO: later",
        "# FIX" + "ME",
        "path = '/ro" + "ot/data.csv'",
        "path = '/ho" + "me/someone/data.csv'",
        "x = f()  # type: ig" + "nore",
        "x = f()  # type: ig" + "nore[arg-type]",
        "x = f()  # no" + "qa",
        "x = f()  # no" + "qa: E501",
        "card = '4111" + "1111" * 3 + "'",
        "card = '4111" + " 1111" * 3 + "'",
    ],
)
def test_leftovers_are_found(line: str) -> None:
    assert len(_said(tidy.leftover_findings(_tree(src__honour__a_py=line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "# TO" + "DO(#12): later",
        "x = f()  # type: ig" + "nore[arg-type]  # the stubs of this library are wrong",
        "x = f()  # no" + "qa: E501 - a table reads better in one line",
        "at_us = 1772366400000000",
        "number = 4111111111111112",
        "url = 'https://example.org/home'",
        "share = 0.4111111111111111",
    ],
)
def test_what_only_looks_like_a_leftover_passes(line: str) -> None:
    assert _said(tidy.leftover_findings(_tree(src__honour__a_py=line))) == []


def test_a_module_that_only_tests_import_is_dead() -> None:
    tree = _tree(src__honour__a_py=DOC, src__honour__b_py=DOC + "from honour import a\n", tests__test_b_py="from honour import b\n")
    found = [line for line in _said(tidy.dead_findings(tree)) if "imports" in line]
    assert [line.split("; ")[0] for line in found] == ["src/honour/b.py:1: nothing imports honour.b"]


def test_a_module_that_a_page_teaches_or_a_text_names_is_alive() -> None:
    page = "```python\nfrom honour.a import f\n```\n"
    loader = DOC + 'import importlib\nmodule = importlib.import_module("honour.b:f")\n'
    tree = _tree(README_md=page, src__honour__a_py=DOC, src__honour__b_py=DOC, benchmarks__run_py=loader)
    assert _said(tidy.dead_findings(tree)) == []


def test_a_page_that_no_other_page_links_to_is_dead() -> None:
    tree = _tree(README_md="[a](docs/a.md#x)", docs__a_md="[self](a.md) [up](../README.md)", docs__b_md="[self](b.md)")
    assert [line.split(":")[0] for line in _said(tidy.dead_findings(tree))] == ["docs/b.md"]


@pytest.mark.parametrize(
    ("path", "source", "n_found"),
    [
        ("src/honour/a.py", "txn = 1", 1),
        ("src/honour/a.py", "txn_id = 1", 1),
        ("src/honour/a.py", "class TxnBook: ...", 1),
        ("src/honour/a.py", "def f(*, txns): ...", 1),
        ("src/honour/a.py", "timestamp = 1", 1),
        ("src/honour/a.py", "x = pa.timestamp('us')", 0),
        ("src/honour/a.py", "x = row['txn']", 0),
        ("src/honour/a.py", "x = 'the txn failed'", 1),
        ("src/honour/a.py", "x = 1  # the timestamp", 0),
        ("src/honour/a.py", "x = 1  # the txn", 1),
        ("src/honour/a.py", "x = 'CAST(x AS TRANSACTION)'", 0),
        ("src/honour/a.py", "order = 1", 0),
        ("examples/mappings/a.py", "txn = 1", 0),
        ("docs/a.md", "Every transaction counts.", 1),
        ("docs/a.md", "Transactions count.", 1),
        ("docs/a.md", "In order of precedence, with a timestamp.", 0),
    ],
)
def test_words_of_the_last_column_are_refused_where_they_name_our_things(path: str, source: str, n_found: int) -> None:
    code = {path: ast.parse(source)} if path.endswith(".py") else {}
    found = _said(tidy.word_findings(tidy.Tree(text={path: source}, code=code), words.parse(GLOSSARY)))
    assert len(found) == n_found
    assert all("'payment'" in line or "'event time'" in line for line in found)


def test_links_blocks_and_tables_are_read_as_a_renderer_reads_them() -> None:
    page = (
        "# A page\n\n[a](b.md#c) and [out](https://example.org)\n\n"
        "```text\n[not](a-link.md)\n| no | row |\n```\n\n"
        "| a | `b|c` |\n|---|---|\n| d | `e|f` |\n"
    )
    assert list(pages.links(page)) == [pages.Link(line=3, target="b.md", anchor="c")]
    assert pages.blocks(page) == [pages.Block(language="text", line=6, text="[not](a-link.md)\n| no | row |")]
    assert list(pages.table_rows(page)) == [(12, ["d", "`e|f`"])]
    assert pages.section("# A\n\none\n\n## `b`\n\ntwo\n\n# C\n", "b") == "\ntwo\n"


def test_the_examples_in_the_checks_run() -> None:
    assert [doctest.testmod(module).failed for module in (pages, words, tidy, command_line)] == [0, 0, 0, 0]


def test_make_alone_lists_every_target_that_people_use() -> None:
    root = Path(__file__).resolve().parents[1]
    shown = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "serve", "test", "check", "truth", "docs", "golden", "bench", "clean"):
        assert f"make {target} " in shown
