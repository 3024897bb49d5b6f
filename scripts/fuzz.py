"""Sends a server what nobody should send it, and looks for a 5xx, an exception nobody foresaw, or a card number in what it keeps.

    python scripts/fuzz.py MINUTES [SEED]      starts `honour serve` on a temporary folder and a free port of this machine

Half of the time schemathesis makes requests from the OpenAPI document; the other half this file makes them: records with one field
changed to something hostile, deep and wide JSON, huge numbers, broken UTF-8, bodies sent half, requests in one packet, wrong lengths,
and card numbers hidden in every place. Exits with 1 when anything was found; every finding can be made again with its seed.
"""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import urlsplit

from honour.records.card_number import holds_card_number
from honour.serving.openapi import EXAMPLES, document

POSTS = ("/v1/decisions", "/v1/outcomes", "/v1/attempts", "/v1/disputes", "/v1/events")
SETTINGS = """
[serving]
deadline_ms = 60000
queue_delay_ms = 60000
[merchants.default]
margin_bps = 2500
[[routes]]
id = "acq_1"
[[routes]]
id = "acq_2"
authentications = ["none", "three_ds"]
"""
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    "",
    "\x00",
    "a" * 70_000,
    "\ud800",
    "💳" * 500,
    -1,
    2**63,
    2**64,
    10**400,
    1e308,
    -0.0,
    0.1,
    [],
    {},
    [[[]]],
    {"a": {"b": {"c": 1}}},
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-03-01T12:00:00+23:59",
    "../../etc/passwd",
    "%00",
    "'; DROP TABLE events; --",
    "NaN",
)
"""Values that a field may be changed to."""
_ANSWER_S = 0.05


class Server:
    """`honour serve` with a log of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "honour.toml").write_text(SETTINGS, encoding="utf-8")
        command = [sys.executable, "-m", "honour.cli", "serve", "--data", str(folder), "--port", "0"]
        self._log = (folder / "server.log").open("w+", encoding="utf-8")
        self.folder, self.process = folder, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        if found is None:
            raise SystemExit(f"the server did not start: {self.said()}")
        self.url = found.group()

    def said(self) -> str:
        """What it logged so far."""
        self._log.flush()
        return (self.folder / "server.log").read_text(encoding="utf-8")

    def end(self) -> int:
        """Stop it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Fuzzer:
    """Requests from a seed, and what came back, by status."""

    def __init__(self, url: str, *, seed: int) -> None:
        split = urlsplit(url)
        self._address = (split.hostname or "", split.port or 0)
        self._dice = random.Random(seed)
        self.statuses: Counter[str] = Counter()
        self.found: list[str] = []
        self.kinds: tuple[Callable[[], bytes], ...] = (
            self._plain,
            self._changed,
            self._changed,
            self._card_number,
            self._deep,
            self._wide,
            self._bytes,
            self._truncated,
            self._pipelined,
            self._wrong_length,
            self._chunked,
            self._path,
            self._lines,
            self._headers,
        )

    def once(self) -> None:
        """One connection."""
        kind = self._dice.choice(self.kinds)
        sent = kind()
        answer = self._sent(sent)
        statuses = re.findall(rb"^HTTP/1\.1 (\d{3})", answer, re.MULTILINE)
        self.statuses.update(status.decode() for status in statuses or [b"none"])
        for status in statuses:
            if status.startswith(b"5") and status != b"503":
                self.found.append(f"{kind.__name__}: {status.decode()} for {sent[:2_000]!r}")
        if kind == self._card_number and b"200" in statuses:
            self.found.append(f"a card number was taken: {sent[:2_000]!r}")

    def _sent(self, sent: bytes) -> bytes:
        received = b""
        with socket.create_connection(self._address, timeout=20) as connection:
            try:
                at = self._dice.choice((len(sent), self._dice.randrange(len(sent) + 1)))
                connection.sendall(sent[:at])
                connection.sendall(sent[at:])
                if select([connection], [], [], _ANSWER_S)[0]:  # The end of what is sent is the end of waiting: nothing is decided then.
                    received += connection.recv(65_536)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65_536):
                    received += piece
            except TimeoutError:
                self.found.append(f"no answer within 20 s for {sent[:2_000]!r}")
            except OSError:
                pass  # It may close on what is no HTTP.
        return received

    def _record(self) -> tuple[str, Any]:
        kind, example = self._dice.choice(list(EXAMPLES.items()))
        path = dict(zip(("DecisionRequest", "Outcome", "Attempt", "Dispute"), POSTS, strict=False))[kind.__name__]
        record = json.loads(json.dumps(example))
        if "payment" in record:
            record["payment"]["payment_id"] = f"pay_{self._letters()}"
            record["payment"]["attributes"] = {"shop": "a", "n": 3}
        return path, record

    def _plain(self) -> bytes:
        path, record = self._record()
        return self._post(path, json.dumps(record).encode())

    def _changed(self) -> bytes:
        path, record = self._record()
        for _ in range(self._dice.choice((1, 1, 2, 5))):
            self._put(record, deepcopy(self._dice.choice(HOSTILE)))
        return self._post(path, json.dumps(record).encode("utf-8", errors="surrogatepass"))

    def _card_number(self) -> bytes:
        path, record = self._record()
        number = card_number(self._dice)
        form = self._dice.choice(("{0}", " {0} ", "x{0}y", "card {0}.", "{1}", "{2}"))
        spaced = [sign.join(number[at : at + 4] for at in range(0, len(number), 4)) for sign in (" ", "-")]
        self._put(record, form.format(number, *spaced), as_key=self._dice.random() < 0.2)
        return self._post(path, json.dumps(record).encode())

    def _deep(self) -> bytes:
        n = self._dice.choice((100, 1_000, 20_000, 60_000))
        opening, closing = self._dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return self._post(self._dice.choice(POSTS), opening * n + b"1" + closing * self._dice.choice((n, n - 1, 0)))

    def _wide(self) -> bytes:
        path, record = self._record()
        holder = record.get("payment", record)
        holder["attributes"] = {f"k{at}": at for at in range(self._dice.choice((100, 5_000, 20_000)))}
        return self._post(path, json.dumps(record).encode())

    def _bytes(self) -> bytes:
        path, record = self._record()
        body = bytearray(json.dumps(record).encode())
        for _ in range(self._dice.choice((1, 3, 20))):
            body[self._dice.randrange(len(body))] = self._dice.randrange(256)
        return self._post(path, bytes(body))

    def _truncated(self) -> bytes:
        whole = self._changed()
        return whole[: self._dice.randrange(len(whole))]

    def _pipelined(self) -> bytes:
        return b"".join(self._dice.choice((self._changed, self._bytes, self._path))() for _ in range(self._dice.randrange(2, 8)))

    def _wrong_length(self) -> bytes:
        said = self._dice.choice(("-1", "0", "5", "99999999999999999999", "1e3", "abc", "+5", ""))
        return self._post("/v1/decisions", b'{"payment": 1}', length=said)

    def _chunked(self) -> bytes:
        path, record = self._record()
        body = json.dumps(record).encode()
        size = self._dice.choice((f"{len(body):x}", "ffffffffffff", "-1", "zz", "0"))
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + size.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"

    def _path(self) -> bytes:
        path = self._dice.choice(
            ("/v1/payments/", "/v1/payments?due_before=", "/v1/payments?limit=", "/v1/payments?after=", "/", "/v1/decisions?x=")
        )
        number = card_number(self._dice)
        told = self._dice.choice(
            ("%00", "%ff%fe", "../..", "a" * 9_000, "1e400", "-1", number, "%3Cscript%3E", "x/y/z", "\xe9", "2026-02-30")
        )
        method = self._dice.choice(("GET", "GET", "HEAD", "OPTIONS", "DELETE", "PUT", "BREW"))
        return f"{method} {path}{told} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode("latin-1")

    def _lines(self) -> bytes:
        lines = []
        for _ in range(self._dice.choice((1, 10, 300))):
            _, record = self._record()
            record["type"] = self._dice.choice(("outcome", "attempt", "dispute", "x", 1))
            self._put(record, deepcopy(self._dice.choice(HOSTILE)))
            lines.append(json.dumps(record).encode("utf-8", errors="surrogatepass"))
        return self._post("/v1/events", self._dice.choice((b"\n", b"\r\n", b"\n\n", b"")).join(lines), kind="application/x-ndjson")

    def _headers(self) -> bytes:
        name = self._dice.choice(("Honour-Deadline-Ms", "Authorization", "Content-Type", "Content-Encoding", "Expect", "Cookie", "X" * 300))
        value = self._dice.choice(
            ("0", "-1", "1", "999999999", "Bearer x", "Bearer honour_a_b", "gzip", "100-continue", "\xff", "a" * 9_000, "")
        )
        path, record = self._record()
        return self._post(path, json.dumps(record).encode(), more=f"{name}: {value}\r\n")

    def _post(self, path: str, body: bytes, *, length: str | None = None, kind: str = "application/json", more: str = "") -> bytes:
        said = str(len(body)) if length is None else length
        close = self._dice.choice(("close", "keep-alive"))
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {said}\r\nconnection: {close}\r\n{more}\r\n"
        return head.encode("latin-1") + body

    def _put(self, record: Any, value: Any, *, as_key: bool = False) -> None:
        """Change one place of a record, any."""
        places: list[tuple[Any, Any]] = []

        def walk(tree: Any) -> None:
            for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
                places.append((tree, key))
                walk(tree[key])

        walk(record)
        tree, key = self._dice.choice(places)
        if as_key and isinstance(tree, dict):
            tree[str(value)] = 1
        else:
            tree[key] = value

    def _letters(self) -> str:
        return "".join(self._dice.choices("abcdefgh", k=8))


def card_number(dice: random.Random) -> str:
    """A number of 13 to 19 digits whose check digit is right, as card numbers have it."""
    digits = dice.choice("3456") + "".join(dice.choices("0123456789", k=dice.randrange(11, 18)))
    return next(digits + last for last in "0123456789" if holds_card_number(digits + last))


def unforeseen(said: str) -> list[str]:
    """Lines of a server's log about what nobody foresaw."""
    return [line for line in said.splitlines() if '"event": "unhandled"' in line or "Traceback" in line]


def card_numbers_in(kept: bytes) -> set[str]:
    """Card numbers in the bytes of a log; numbers that begin with 1 are instants."""
    found = re.findall(rb"(?<![\d.])[2-6]\d{12,18}(?![\d.])", kept)
    return {one.decode() for one in found if holds_card_number(one.decode())}


def by_schema(url: str, *, s_max: float, folder: Path) -> str | None:
    """What schemathesis finds in so many seconds, or None."""
    told = deepcopy(document())
    told["paths"].pop("/v1/events")  # It knows no NDJSON; this file makes those bodies.
    for methods in told["paths"].values():
        for operation in methods.values():  # A deadline of one millisecond is rightly answered 503.
            operation["parameters"] = [one for one in operation.get("parameters", ()) if one["in"] != "header"]
    (folder / "openapi.json").write_text(json.dumps(told), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(folder / "openapi.json"), "--url", url, "--no-color"]
    command += ["--checks", "not_a_server_error", "--max-examples", "1000000", "--phases", "examples,fuzzing", "--continue-on-failure"]
    command += ["--max-time", str(max(1, int(s_max)))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=s_max + 120, cwd=folder, check=False)
    return ran.stdout[-8_000:] + ran.stderr[-1_000:] if ran.returncode else None


def main(minutes: float, seed: int) -> int:
    """Run, and say what was found."""
    with tempfile.TemporaryDirectory() as made:
        server = Server(Path(made))
        fuzzer = Fuzzer(server.url, seed=seed)
        try:
            if found := by_schema(server.url, s_max=minutes * 30, folder=Path(made)):
                fuzzer.found.append(f"schemathesis: {found}")
            until_s = time.monotonic() + minutes * 30
            while time.monotonic() < until_s and server.process.poll() is None and len(fuzzer.found) < 20:
                fuzzer.once()
            alive = server.process.poll() is None
            code = server.end() if alive else server.process.returncode
        finally:
            if server.process.poll() is None:
                server.process.kill()
        unhandled = unforeseen(server.said())
        kept = (Path(made) / "events.db").read_bytes()
    n = sum(fuzzer.statuses.values())
    sys.stdout.write(
        f"{n} answers to {minutes * 30:.0f} s of hostile requests, seed {seed}, by status: {dict(sorted(fuzzer.statuses.items()))}\n"
    )
    numbers = card_numbers_in(kept)
    findings = [
        *fuzzer.found,
        *unhandled[:5],
        *([f"{len(numbers)} card numbers in the log"] if numbers else []),
        *([f"exit code {code}"] if code else []),
    ]
    for one in findings:
        sys.stdout.write(f"FOUND {one}\n")
    sys.stdout.write(f"{len(findings)} findings\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
