"""The faults: each does its harm, waits, and takes it away again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition
from world import World, until

from honour.records.event import LoggedEvent
from honour.stores.opening import open_log
from real_redis import free_port, running_redis

TMPFS_MB = 24
HOSTILE_PER_S = 40
CARD = b"4" + b"1" * 15


class Fault(NamedTuple):
    """A name, where the log is, what is done, and whether the folder is a small file system of its own."""

    name: str
    store: str
    work: Callable[[World], Awaitable[None]]
    is_small: bool = False
    has_stream: bool = False
    has_redis: bool = False


async def server_killed(world: World) -> None:
    """kill -9, three times, at instants nobody chose."""
    dice = random.Random(3)
    for _ in range(3):
        world.kill()
        n = world.n_starts
        await until(lambda: world.n_starts > n, seconds=10)  # noqa: B023  # called before the next round
        while not await world.is_ready():
            await asyncio.sleep(0.1)
        await asyncio.sleep(dice.uniform(0, world.hold_s / 3))


async def server_paused(world: World) -> None:
    """SIGSTOP: it is there, and does nothing."""
    assert world.process is not None
    world.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(min(3.0, world.hold_s / 2))
    world.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(world.hold_s / 2)


async def postgres_killed(world: World) -> None:
    """Every process of PostgreSQL is killed and stays away."""
    world.postgres.kill()
    await asyncio.sleep(world.hold_s)
    await asyncio.to_thread(world.postgres.start)
    await _log_is_back(world)


async def postgres_paused(world: World) -> None:
    """Every process of PostgreSQL is stopped where it stands."""
    world.postgres.pause()
    await asyncio.sleep(world.hold_s)
    world.postgres.resume()
    await _log_is_back(world)


async def postgres_and_server_killed(world: World) -> None:
    """Both, so that nobody can decide; the journal of the dead server is forwarded when both are back."""
    world.postgres.kill()
    await asyncio.sleep(world.hold_s / 2)
    world.kill()
    await asyncio.sleep(world.hold_s / 2)
    await asyncio.to_thread(world.postgres.start)
    await _log_is_back(world)


async def redis_killed(world: World) -> None:
    """The shared state is gone, and comes back empty."""
    world.redis.stop()
    await asyncio.sleep(world.hold_s)
    await asyncio.to_thread(world.redis.start)
    await asyncio.sleep(world.hold_s / 2)


async def redis_paused(world: World) -> None:
    """The shared state is stopped where it stands."""
    world.redis.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(world.hold_s)
    world.redis.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(world.hold_s / 2)


async def disk_full(world: World) -> None:
    """A file takes all the room there is, then goes away."""
    ballast = world.folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(65_536))
            except OSError:
                break
    await asyncio.sleep(world.hold_s)
    ballast.unlink()
    await asyncio.sleep(world.hold_s / 2)


async def corrupt_bundle(world: World) -> None:
    """A bundle with bytes that changed takes the place of the live one; the server must not decide by it, not even after it was killed."""
    live, sound = world.folder / "bundle", world.folder / "sound"
    shutil.copytree(live, sound)
    broken = shutil.copytree(live, world.folder / "broken")
    for file in broken.rglob("*"):
        if file.is_file() and file.stat().st_size > 1_000:
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2 : len(raw) // 2 + 64] = os.urandom(64)
            file.write_bytes(raw)
    _put(broken, live)
    os.utime(world.folder / "honour.toml")
    await asyncio.sleep(world.hold_s)
    world.kill()
    n, began = world.n_starts, time.monotonic()
    while not (is_up := await world.is_ready()) and world.n_starts < n + 2 and time.monotonic() - began < 60:
        await asyncio.sleep(0.1)
    world.notes["after_kill"] = "goes on with the sound one" if is_up else "does not start until it is sound"
    _put(sound, live)
    await asyncio.sleep(world.hold_s / 2)
    await until(lambda: world.callers.told.answered_at[-1] > time.monotonic() - 0.5, seconds=60)
    world.notes["bundles"] = len({answer["bundle"] for answer in world.callers.told.decisions.values()} - {None})


def _put(folder: Path, place: Path) -> None:
    """A folder where another folder, or a link to one, is."""
    if place.is_symlink():
        place.unlink()
    else:
        shutil.rmtree(place)
    shutil.move(folder, place)


async def clock_jumps(world: World) -> None:
    """The clock goes two hours ahead, then three hours back."""
    for hours in (2, -1, 0):
        (world.folder / "clock").write_text(str(hours * 3_600_000_000))
        await asyncio.sleep(world.hold_s / 3)


async def slow_model(world: World) -> None:
    """Every score takes longer than a caller waits."""
    (world.folder / "slow").write_text("3000")
    await asyncio.sleep(world.hold_s)
    (world.folder / "slow").unlink()
    await asyncio.sleep(world.hold_s / 2)


async def ten_times_the_load(world: World) -> None:
    """Ten times as many payments as before."""
    world.callers.rate *= 10
    await asyncio.sleep(world.hold_s)
    world.callers.rate /= 10
    await asyncio.sleep(world.hold_s / 2)


async def hostile_requests(world: World) -> None:
    """What no caller in good faith sends, all the time; nothing of it may be answered 5xx, or be found in the log."""
    statuses: list[int] = []
    ends = asyncio.get_running_loop().time() + world.hold_s
    dice = random.Random(5)
    slow = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(20)]
    for _, writer in slow:
        writer.write(
            b"POST /v1/decisions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
        )  # And no more.
    while asyncio.get_running_loop().time() < ends:
        statuses.append(await _send(world.port, dice.choice(_HOSTILE)(dice)))
        await asyncio.sleep(1 / HOSTILE_PER_S)
    for _, writer in slow:
        writer.close()
    world.notes["hostile"] = len(statuses)
    world.notes["hostile_5xx"] = sum(500 <= status < 600 for status in statuses)
    world.notes["card_numbers_kept"] = sum(CARD in file.read_bytes() for file in world.folder.glob("events.db*"))


async def stream_disturbed(world: World) -> None:
    """Brokers stopped where they stand, both programs killed and started again; the topic must have every event of the log."""
    out = world.program("stream", "out")
    await asyncio.sleep(world.hold_s / 3)
    brokers = world.notes.pop("brokers")
    brokers.send_signal(signal.SIGSTOP)
    await asyncio.sleep(world.hold_s / 3)
    out.kill()
    out.wait()
    out = world.program("stream", "out")
    await asyncio.sleep(1.0)
    brokers.send_signal(signal.SIGCONT)
    await asyncio.sleep(world.hold_s / 3)
    world.callers.rate = 0.5
    world.notes["topic_lacks"] = await asyncio.to_thread(_topic_lacks, world)
    out.terminate()
    out.wait()


async def _log_is_back(world: World) -> None:
    """Until everything that was journaled is forwarded."""
    await asyncio.sleep(world.hold_s / 2)

    def is_back() -> bool:
        told = (world.folder / "server.log").read_text()
        return world.n_starts > 1 or told.rfind('"log_back"') > told.rfind('"log_away"')

    world.notes["came_back"] = await until(is_back, seconds=60)


def _topic_lacks(world: World) -> int:
    """Events that the log has had for seconds and the topic has not."""
    log = open_log(world.settings.data, read_only=True)
    wanted = {logged.seq for logged in log.read()}
    log.close()
    told = world.settings.stream
    consumer = Consumer({"bootstrap.servers": told.brokers, "group.id": "check", "enable.auto.commit": False})
    places = [
        TopicPartition(told.events_topic, n, 0)
        for n in consumer.list_topics(told.events_topic, timeout=10).topics[told.events_topic].partitions
    ]
    consumer.assign(places)
    n_empty = 0
    while wanted and n_empty < 20:
        found = [one for one in consumer.consume(1_000, timeout=1.0) if one.error() is None]
        wanted -= {msgspec.json.decode(one.value(), type=LoggedEvent).seq for one in found}
        n_empty = 0 if found else n_empty + 1
    consumer.close()
    return len(wanted)


async def _send(port: int, raw: bytes) -> int:
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            head = await reader.read(64)
            writer.close()
    except (OSError, TimeoutError):
        return 0
    return int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0


def _posted(body: bytes, *, path: bytes = b"/v1/decisions", kind: bytes = b"application/json") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        path,
        kind,
        len(body),
        body,
    )


_HOSTILE: tuple[Callable[[random.Random], bytes], ...] = (
    lambda dice: dice.randbytes(300) + b"\r\n\r\n",
    lambda dice: _posted(dice.randbytes(500)),
    lambda _: _posted(b"[" * 20_000),
    lambda _: _posted(b'{"payment": ' * 2_000 + b"1" + b"}" * 2_000),
    lambda _: _posted(b'{"payment": {"payment_id": "' + CARD + b'"}}'),
    lambda _: _posted(b'{"type": "outcome", "decision_id": "' + CARD + b'"}\n' * 20, path=b"/v1/events", kind=b"application/x-ndjson"),
    lambda _: _posted(b'{"decision_id": "dec_' + b"x" * 100_000 + b'", "status": "approved"}', path=b"/v1/outcomes"),
    lambda _: _posted(b"{}", kind=b"text/html"),
    lambda _: _posted(b'{"payment": {"payment_id": "p", "merchant_id": "m", "amount_minor": 1e400, "currency": "USD"}}'),
    lambda _: b"POST /v1/decisions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
    lambda _: b"GET /v1/payments/../../etc/passwd?" + CARD + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    lambda _: b"GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    lambda _: b"BREW /v1/decisions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
)

FAULTS = (
    Fault("server killed", "file", server_killed),
    Fault("server killed", "postgres", server_killed),
    Fault("server paused", "file", server_paused),
    Fault("PostgreSQL killed", "postgres", postgres_killed),
    Fault("PostgreSQL paused", "postgres", postgres_paused),
    Fault("PostgreSQL and server killed", "postgres", postgres_and_server_killed),
    Fault("Redis killed", "file", redis_killed, has_redis=True),
    Fault("Redis paused", "file", redis_paused, has_redis=True),
    Fault("Kafka paused, stream killed", "file", stream_disturbed, has_stream=True),
    Fault("disk full", "file", disk_full, is_small=True),
    Fault("corrupt bundle", "file", corrupt_bundle),
    Fault("clock jumps", "file", clock_jumps),
    Fault("slow model", "file", slow_model),
    Fault("hostile requests", "file", hostile_requests),
    Fault("10 times the load", "file", ten_times_the_load),
)


class Redis:
    """A Redis on a port of its own that keeps nothing on disk."""

    def __init__(self) -> None:
        self._port = free_port()
        self._stack = ExitStack()
        self.start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, empty."""
        self.process = self._stack.enter_context(running_redis(self._port))

    def stop(self) -> None:
        """kill -9."""
        self._stack.close()


class SmallDisk:
    """A file system of a few megabytes at `folder`, where we may mount one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)]
        self.is_there = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Take it away."""
        if self.is_there:
            subprocess.run(["umount", "--lazy", str(self._folder)], capture_output=True, check=False)


def started_brokers() -> tuple[subprocess.Popen[str], str]:
    """librdkafka's own cluster, which speaks Kafka's protocol, in a process of its own; and its address."""
    program = (
        "import sys, time\nfrom confluent_kafka import Producer\n"
        "cluster = Producer({'bootstrap.servers': '', 'test.mock.num.brokers': 3, 'log_level': 0})\n"
        "print(','.join(f'{b.host}:{b.port}' for b in cluster.list_topics(timeout=10).brokers.values()), flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()
