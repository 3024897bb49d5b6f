"""Settings are chosen on the newest rows, and how far the chosen ones are grown on all that are searched."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from honour.learning import search as searching
from honour.learning.dataset import rows_of
from honour.learning.kinds.named import kind_named, told_by_catalogue
from honour.learning.search import search

pytestmark = pytest.mark.slow


def test_many_rows_are_not_all_searched_for_every_setting(make_table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, kind, told = rows_of(make_table(3_000)), kind_named("lightgbm"), told_by_catalogue(seed=1, n_threads=1)
    monkeypatch.setattr(searching, "CHOICE_ROWS", 1_000)
    asked: list[tuple[str, int]] = []
    step = lambda what, done, _total: asked.append((what, done))  # noqa: E731 - a name for what is passed on
    found = search(rows, kind=kind, told=told, step=step, configurations=kind.configurations)
    chosen = found.recipe.configuration.name
    for other in {"small", "middle", "large"} - {chosen}:
        assert found.configurations[other].n == pytest.approx(500, abs=5)
    assert found.configurations[found.recipe.name].n == len(found.later.rows) == pytest.approx(1_500, abs=10)
    assert len(found.later.raw) == len(found.later.rows)
    assert asked == [("choosing the model", done) for done in range(6)]


def test_of_trees_many_rows_have_the_largest_at_once(make_table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, kind, told = rows_of(make_table(3_000)), kind_named("lightgbm"), told_by_catalogue(seed=1, n_threads=1)
    monkeypatch.setattr(searching, "CHOICE_ROWS", 1_000)
    found = search(rows, kind=kind, told=told, step=lambda *_: None)
    assert {name.partition(",")[0] for name in found.configurations} == {"largest"}
    assert {figure.n for figure in found.configurations.values()} == {len(found.later.rows)}


def test_few_rows_are_all_searched_for_every_setting(make_table: Callable[..., pa.Table]) -> None:
    kind, told = kind_named("logistic"), told_by_catalogue(seed=1, n_threads=1)
    found = search(rows_of(make_table(1_000)), kind=kind, told=told, step=lambda *_: None)
    assert {figure.n for figure in found.configurations.values()} == {len(found.later.rows)}


def test_beside_tables_trees_are_grown_as_far_as_they_are_alone(make_table: Callable[..., pa.Table]) -> None:
    rows, told, large = rows_of(make_table(3_000)), told_by_catalogue(seed=1, n_threads=1), kind_named("lightgbm").configurations[-1:]
    both, alone = (
        search(rows, kind=kind_named(name)._replace(without=(), encoding="codes"), told=told, step=lambda *_: None, configurations=large)
        for name in ("mixed", "lightgbm")
    )
    assert both.n_steps == alone.n_steps
    assert both.configurations["large"] != alone.configurations["large"]
