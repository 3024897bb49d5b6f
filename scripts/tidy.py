"""House rules that a machine can hold: `make tidy`. Each finding says where, what was found, and what is allowed.

Sizes of files and functions, imported modules, docstrings, words of docs/glossary.md, modules and pages that nothing
leads to, and leftovers: unfinished work, unexplained exemptions, paths of one machine, card numbers.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pages
import words

LINES_MAX = 400
FUNCTION_LINES_MAX = 60
IMPORTS_MAX = 10
IMPORTS_MAX_OF = {"src/honour/loop.py": 16, "src/honour/arena/demo.py": 16}
"""These two are the whole product on one page: naming every neighbour is what they are for."""

CODE = (".py",)
TEXT = (".py", ".md", ".toml", ".yml", ".yaml", ".cfg", ".ini", ".sh", ".csv", ".json", ".ndjson", ".txt", ".html", ".js", ".css", "")
ENTRY_POINTS = {"honour", "honour.cli.__main__", "honour.cli.main"}

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Written in halves, so that this file does not find itself.
_UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b(?!\(#\d+\))")
_IGNORED_TYPE = re.compile(r"# type: ig" + r"nore(?P<code>\[[\w, -]+\])?(?P<reason>.*)")
_IGNORED_LINT = re.compile(r"# no" + r"qa(?P<code>: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)?(?P<reason>.*)")
_MACHINE = re.compile(r"(?<![\w.-])/(?:ro" + r"ot|ho" + r"me|Us" + r"ers|wo" + r"rk)/\w|\b[A-Z]:\\\\?Us" + r"ers\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])[2-6](?:[ -]?[0-9]){12,18}(?![\w.])")


class Finding(NamedTuple):
    """One broken rule, in the form editors jump to: `file:line: what; allowed: ...`."""

    path: str
    line: int
    what: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}; allowed: {self.allowed}"


class Tree(NamedTuple):
    """The files to judge, by path relative to the repository: all text, and the syntax trees of Python files."""

    text: dict[str, str]
    code: dict[str, ast.Module]


def read_tree(root: Path) -> Tree:
    """Tracked files and new ones that are not ignored; without git, every file outside hidden folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=False
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else [str(path.relative_to(root)) for path in root.rglob("*")]
    if listed.returncode != 0:
        names = [name for name in names if not any(part.startswith(".") or part.endswith(".egg-info") for part in Path(name).parts[:-1])]
    text: dict[str, str] = {}
    for name in sorted(names):
        path = root / name
        if path.is_file() and path.suffix in TEXT and path.name != "LICENSE":
            text[name] = path.read_text(encoding="utf-8", errors="replace")
    return Tree(text=text, code={name: ast.parse(source, filename=name) for name, source in text.items() if name.endswith(CODE)})


def size_findings(tree: Tree) -> Iterator[Finding]:
    """Files, functions and import lists that are too long to be read in one go."""
    for path, module in tree.code.items():
        n_lines = tree.text[path].count("\n")
        if n_lines > LINES_MAX:
            yield Finding(path, LINES_MAX + 1, f"{n_lines} lines", f"{LINES_MAX} lines a file; split it by topic")
        for node in ast.walk(module):
            if isinstance(node, Function) and (n_body := _lines_beyond_docstring(node)) > FUNCTION_LINES_MAX:
                yield Finding(
                    path, node.lineno, f"function {node.name} has {n_body} lines", f"{FUNCTION_LINES_MAX} lines beyond its docstring"
                )
        imported = sorted(name for name in _coupled_to(module) if name)
        most = IMPORTS_MAX_OF.get(path, IMPORTS_MAX)
        if len(imported) > most:
            what = f"{len(imported)} imported packages ({', '.join(imported)})"
            yield Finding(path, 1, what, f"{most}, the standard library not counted; give part of the work a file of its own")


def docstring_findings(tree: Tree) -> Iterator[Finding]:
    """Modules, public classes and public functions of the package that do not say what the reader gets."""
    for path, module in tree.code.items():
        if not path.startswith(("src/", "scripts/", "benchmarks/")):
            continue
        if not ast.get_docstring(module):
            yield Finding(path, 1, "module without docstring", "a first line that says what the reader gets")
        for name, node in _public(module):
            if not ast.get_docstring(node):
                yield Finding(
                    path,
                    node.lineno,
                    f"{name} has no docstring",
                    "a first line that says what the reader gets; a private name starts with _",
                )


def leftover_findings(tree: Tree) -> Iterator[Finding]:
    """Unfinished work, exemptions without a reason, paths of one machine, card numbers."""
    for path, source in tree.text.items():
        for number, line in enumerate(source.splitlines(), start=1):
            if found := _UNFINISHED.search(line):
                yield Finding(path, number, f"{found[0]} without an issue", f"{found[0]}(#123), or finish it")
            if found := _MACHINE.search(line):
                yield Finding(path, number, f"path of one machine: {found[0]}...", "paths relative to the repository or given as arguments")
            if any(_is_card_number(found) for found in _LONG_NUMBER.findall(line)):
                yield Finding(path, number, "a card number", "build it at run time from parts; none may lie on a disk")
            if path.endswith(CODE):
                yield from _exemptions(path, number, line)


def dead_findings(tree: Tree) -> Iterator[Finding]:
    """Modules that nothing imports but tests, and pages that no other page links to."""
    known = {_module_name(path): path for path in tree.code if path.startswith("src/")}
    reached = set(ENTRY_POINTS)
    for path, module in tree.code.items():
        if not path.startswith("tests/"):
            reached |= {name for name in _imports(module) | _strings(module) if name != _module_name(path)}
    for path in _page_paths(tree):
        for block in pages.blocks(tree.text[path]):
            reached |= set(re.findall(r"\bhonour(?:\.\w+)+", block.text))
    for name, path in known.items():
        if name not in reached and not path.endswith("__init__.py"):
            yield Finding(
                path, 1, f"nothing imports {name}", "a module that the product, a benchmark or an example in a page uses; delete it"
            )
    linked = {path: _linked_from(path, tree.text[path]) for path in _page_paths(tree)}
    for path in linked:
        if path != "README.md" and not any(path in targets for other, targets in linked.items() if other != path):
            yield Finding(path, 1, "no page links here", "a link from docs/README.md or the page before it; delete it")


def word_findings(tree: Tree, glossary: words.Glossary) -> Iterator[Finding]:
    """Words that the glossary refuses, in names, docstrings, comments, messages and pages."""
    for path, module in tree.code.items():
        for use in words.uses_in_code(module, tree.text[path]):
            yield from _refused(path, use, glossary)
    for path in _page_paths(tree):
        if path != words.GLOSSARY_PAGE:
            for number, line in enumerate(tree.text[path].splitlines(), start=1):
                yield from _refused(path, words.Use(line=number, text=line, is_name=False), glossary)


def findings(root: Path) -> list[Finding]:
    """Everything that breaks a house rule under `root`, in order of file and line."""
    tree = read_tree(root)
    glossary = words.parse(tree.text.get(words.GLOSSARY_PAGE, ""))
    found = [
        *size_findings(tree),
        *docstring_findings(tree),
        *leftover_findings(tree),
        *dead_findings(tree),
        *word_findings(tree, glossary),
    ]
    return sorted(set(found))


def _refused(path: str, use: words.Use, glossary: words.Glossary) -> Iterator[Finding]:
    for refusal in glossary.refused_in(use, path=path):
        kind = "name" if use.is_name else "text"
        yield Finding(path, use.line, f"'{refusal.word}' in {kind} '{use.text.strip()[:60]}'", f"'{refusal.term}' (docs/glossary.md)")


def _lines_beyond_docstring(node: Function) -> int:
    start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
    return (node.end_lineno or node.lineno) - (start or node.lineno)


def _coupled_to(module: ast.Module) -> set[str]:
    """Neighbours: our own packages (records, errors and the file's own are its words), foreign ones, the standard library left out."""
    names = {name for node in ast.walk(module) for name in _named_by(node, members=False)}
    neighbours = {".".join(name.split(".")[: 2 if name.startswith("honour.") else 1]) for name in names}
    return {name for name in neighbours if name.split(".")[0] not in sys.stdlib_module_names} - {"honour.records", "honour.errors"}


def _imports(module: ast.Module) -> set[str]:
    return {name for node in ast.walk(module) for name in _named_by(node, members=True)}


def _named_by(node: ast.AST, *, members: bool) -> Iterator[str]:
    """Modules an import names; with `members` also `a.b` for `from a import b`, which may be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        if members:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _strings(module: ast.Module) -> set[str]:
    """Module names given as text, for modules that are loaded only when a command needs them."""
    values = (node.value for node in ast.walk(module) if isinstance(node, ast.Constant))
    return {value.split(":")[0] for value in values if isinstance(value, str) and value.startswith("honour.")}


def _module_name(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _public(module: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from (
                    (f"{node.name}.{method.name}", method)
                    for method in node.body
                    if isinstance(method, Function) and not method.name.startswith("_") and not _is_variation(method)
                )


def _is_variation(method: Function) -> bool:
    """A setter or an overload: documented where the first form stands."""
    return any(getattr(decorator, "attr", getattr(decorator, "id", "")) in {"setter", "overload"} for decorator in method.decorator_list)


def _exemptions(path: str, number: int, line: str) -> Iterator[Finding]:
    for pattern, example in ((_IGNORED_TYPE, "[code]  # why"), (_IGNORED_LINT, ": CODE - why")):
        found = pattern.search(line)
        if found and (not found["code"] or len(found["reason"].strip(" #-:")) < 5):
            yield Finding(
                path, number, f"{found[0].strip()[:40]} without code or reason", f"{found[0].split('[')[0].split(':')[0].strip()}{example}"
            )


def _is_card_number(digits: str) -> bool:
    """The Luhn check, ISO/IEC 7812-1 annex B."""
    values = [int(digit) for digit in reversed(digits) if digit.isdigit()]
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[1::2])
    return len(set(values)) > 1 and (sum(values[::2]) + doubled) % 10 == 0


def _page_paths(tree: Tree) -> list[str]:
    return [path for path in tree.text if path.endswith(".md") and not path.startswith((".", "tests/"))]


def _linked_from(path: str, text: str) -> set[str]:
    here = Path("/") / path
    return {str((here.parent / link.target).resolve())[1:] for link in pages.links(text) if link.target}


def main() -> int:
    """Print every finding; 1 when there are any."""
    found = findings(Path(__file__).resolve().parents[1])
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"tidy: {len(found)} findings\n" if found else "tidy: clean\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
