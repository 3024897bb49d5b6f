"""Ask a running server about every attempt of a file, in event-time order, and report what came back.

    python examples/live_run.py FILE --mapping M --url http://127.0.0.1:8080 [--since 2019-02-05]

The file is history: for each attempt it knows the outcome of the route that was taken then, and of no other. Where the server
chooses that route, the outcome is reported for the decision; where it chooses another, the merchant "forces" the old one and
reports it as an attempt that Honour did not choose. Every instant is the file's own (`at`), so run it against a data folder that
holds nothing later.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec

from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.stores.tabular import read_attempts


def run(file: Path, *, mapping: Path, url: str, since: datetime | None = None) -> Counter[str]:
    """Counts of what was asked, agreed and forced."""
    attempts = [
        event.attempt
        for event, _ in read_attempts([file], mapping).events
        if isinstance(event, AttemptReported) and (since is None or event.attempt.attempted_at >= since)
    ]
    counts: Counter[str] = Counter()
    with httpx.Client(base_url=url, timeout=30) as client:
        for attempt in sorted(attempts, key=lambda attempt: attempt.attempted_at):
            counts += _play(client, attempt)
    return counts


def _play(client: httpx.Client, attempt: Attempt) -> Counter[str]:
    asked = {"payment": msgspec.to_builtins(attempt.payment), "at": attempt.attempted_at.isoformat()}
    decision = client.post("/v1/decisions", json=asked).raise_for_status().json()
    chosen = decision["attempt"] or {}
    if (chosen.get("route"), chosen.get("authentication")) == (attempt.route, attempt.authentication):
        reported = {"decision_id": decision["decision_id"], "status": attempt.status, "happened_at": attempt.attempted_at.isoformat()}
        client.post("/v1/outcomes", json=reported).raise_for_status()
        return Counter(asked=1, followed=1)
    client.post("/v1/attempts", json=msgspec.to_builtins(attempt)).raise_for_status()
    return Counter(asked=1, forced=1)


def main() -> None:
    """Read the command line and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--mapping", type=Path, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--since", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC))
    arguments = parser.parse_args()
    counts = run(arguments.file, mapping=arguments.mapping, url=arguments.url, since=arguments.since)
    print(f"asked {counts['asked']}, followed {counts['followed']}, forced {counts['forced']}")


if __name__ == "__main__":
    main()
