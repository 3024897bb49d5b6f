"""Tallies of events one by one: the same counts that a whole table gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from honour.features.expectation import Expected, Value, binned
from honour.features.tally import EXAMPLES, VALUES_MAX, Example, Tally, shown


class Tallier:
    """Counts values into tallies, by the expectations in force."""

    def __init__(self, expected: Expected) -> None:
        self._rows = [(row.expectation.name, row.column, row.breaks) for row in expected.rows()]
        self._counted = sorted(expected.counted())

    def count(self, tally: Tally, values: Mapping[str, Value], *, attempt_id: str) -> list[str]:
        """Count the columns of an attempt that are given; the expectations that it breaks. Whoever calls counts `n` and `last_us`."""
        broken: list[str] = []
        for name, column, breaks in self._rows:
            if column not in values:
                continue
            tally.judged[name] += 1
            if breaks(value := values[column]):
                tally.broken[name] += 1
                broken.append(name)
                examples = tally.examples.setdefault(name, [])
                if len(examples) < EXAMPLES:
                    examples.append(Example(attempt_id=attempt_id, value=shown(column, value)))
        for column in self._counted:
            if (value := values.get(column)) is not None:
                counts = tally.counts.setdefault(column, Counter())
                text = value if isinstance(value, str) else binned(value)
                if text in counts or len(counts) < VALUES_MAX:
                    counts[text] += 1
        return broken
