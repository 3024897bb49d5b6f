"""Splits keep time and payments apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from honour.learning.split import forward_splits, split_at

ATTEMPTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 100)), min_size=2, max_size=60)


@given(ATTEMPTS, st.integers(0, 101))
def test_what_is_judged_is_later_and_no_payment_is_on_both_sides(attempts: list[tuple[int, int]], cut: int) -> None:
    payments, at_us = np.array([payment for payment, _ in attempts]), np.array([at for _, at in attempts])
    split = split_at(cut, payments=payments, at_us=at_us)
    assert not set(payments[split.early]) & set(payments[split.late])
    assert np.all(at_us[split.early] < cut)
    assert np.all(at_us[split.late] >= cut)
    assert np.array_equal(split.early, at_us < cut)


@given(ATTEMPTS, st.integers(1, 5))
def test_every_block_is_judged_by_what_precedes_it_and_no_row_twice(attempts: list[tuple[int, int]], n_blocks: int) -> None:
    payments, at_us = np.array([payment for payment, _ in attempts]), np.array([at for _, at in attempts])
    splits = forward_splits(payments, at_us=at_us, n_blocks=n_blocks, first_share=0.5)
    assert sum(split.late.astype(int) for split in splits).max(initial=0) <= 1 if splits else True
    for split in splits:
        assert at_us[split.early].max() < at_us[split.late].min()
        assert not set(payments[split.early]) & set(payments[split.late])


def test_the_last_row_is_judged() -> None:
    at_us = np.arange(100)
    splits = forward_splits(np.arange(100), at_us=at_us, n_blocks=4, first_share=0.5)
    assert len(splits) == 4
    assert splits[-1].late[-1]
