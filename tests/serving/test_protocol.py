"""HTTP on sockets: decisions and reports are answered from the parser's callbacks, everything else by ASGI, on the same connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import uvicorn
from shop import Fixed, engine, payment

from honour.records.settings import ServingSettings, Settings
from honour.serving.app import Service
from honour.serving.protocol import protocol_of

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def test_a_connection_serves_decisions_outcomes_and_pages_one_after_the_other() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        status, head, body = await asked(client, post("/v1/decisions", {"payment": payment()}))
        assert (status, "content-type: application/json" in head, "date: " in head) == (200, True, True)
        decision_id = msgspec.json.decode(body)["decision_id"]
        assert (await asked(client, get("/healthz")))[0] == 200
        assert (await asked(client, post("/v1/outcomes", {"decision_id": decision_id, "status": "approved"})))[0] == 200
        assert (await asked(client, post("/v1/decisions?x=1", {"payment": payment("pay_2")})))[0] == 200

    served(go)


def test_requests_sent_without_waiting_are_answered_in_their_order() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        reader, writer = client
        writer.write(b"".join(post("/v1/decisions", {"payment": payment(f"pay_{n}")}) for n in range(5)) + get("/healthz"))
        told = [await answer(reader) for _ in range(6)]
        assert [msgspec.json.decode(body)["payment_id"] for _, _, body in told[:5]] == [f"pay_{n}" for n in range(5)]
        assert [status for status, _, _ in told] == [200] * 6

    served(go)


def test_a_body_in_pieces_is_put_together() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        reader, writer = client
        whole = post("/v1/decisions", {"payment": payment()})
        for start in range(0, len(whole), 40):
            writer.write(whole[start : start + 40])
            await asyncio.sleep(0)
        assert (await answer(reader))[0] == 200
        body = msgspec.json.encode({"payment": payment("pay_2")})
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:50], body[50:])) + b"0\r\n\r\n"
        writer.write(b"POST /v1/decisions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + parts)
        assert (await answer(reader))[0] == 200

    served(go)


def test_a_body_that_is_too_large_is_refused_before_it_is_whole_and_the_connection_goes_on() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        reader, writer = client
        writer.write(b"POST /v1/decisions HTTP/1.1\r\nhost: a\r\ncontent-length: 3000\r\n\r\n" + b" " * 10)
        status, head, body = await answer(reader)
        assert (status, "application/problem+json" in head, b"serving.body_bytes_max" in body) == (413, True, True)
        writer.write(b" " * 2_990)
        chunk = b"7d0\r\n" + b" " * 2_000 + b"\r\n"
        writer.write(b"POST /v1/outcomes HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
        assert (await answer(reader))[0] == 413
        assert (await asked(client, post("/v1/decisions", {"payment": payment()})))[0] == 200

    served(go, settings=Settings(serving=ServingSettings(body_bytes_max=1_000)))


def test_refusals_carry_the_headers_that_say_what_to_do() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        status, head, _ = await asked(client, post("/v1/decisions", {"payment": payment()}))
        assert (status, "www-authenticate: Bearer" in head) == (401, True)
        wrong = post("/v1/decisions", {"payment": payment()}).replace(b"application/json", b"text/plain")
        assert (await asked(client, wrong))[0] == 401

    served(go, settings=Settings(serving=ServingSettings(keys_required=True)))


def test_a_connection_that_is_to_be_closed_says_so_and_is_closed() -> None:
    async def go(client: Client, _: uvicorn.Server) -> None:
        reader, writer = client
        writer.write(post("/v1/decisions", {"payment": payment()}).replace(b"host: a", b"host: a\r\nconnection: close"))
        status, head, _ = await answer(reader)
        assert (status, "connection: close" in head) == (200, True)
        assert await reader.read() == b""

    served(go)


def test_what_nobody_waits_for_any_more_is_not_decided() -> None:
    service = Service(engine(model=Fixed()))

    async def go() -> None:
        told: list[object] = []
        body = msgspec.json.encode({"payment": payment()})
        gone = service.answer("/v1/decisions", body, service.begin("/v1/decisions", {}), began_ns=0, tell=told.append)
        gone.forget()
        before = service.engine.log.last_seq
        while len(service.queue):
            await asyncio.sleep(0)
        assert (service.engine.log.last_seq, told) == (before, [])

    asyncio.run(go())


def test_the_end_of_the_service_waits_for_what_it_accepted() -> None:
    async def go(client: Client, server: uvicorn.Server) -> None:
        reader, writer = client
        writer.write(post("/v1/decisions", {"payment": payment()}))
        await asyncio.sleep(0)
        server.should_exit = True
        assert (await answer(reader))[0] == 200

    served(go)


def post(path: str, body: object) -> bytes:
    """A request of one record."""
    coded = msgspec.json.encode(body)
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(coded)}\r\n\r\n"
    return head.encode() + coded


def get(path: str) -> bytes:
    """A request for a page."""
    return f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()


async def asked(client: Client, request: bytes) -> tuple[int, str, bytes]:
    """Status, head and body of an answer."""
    client[1].write(request)
    return await answer(client[0])


async def answer(reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
    """The next answer on a connection."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return int(head.split()[1]), head, await reader.readexactly(int(lines["content-length"]))


def served(go: Callable[[Client, uvicorn.Server], Awaitable[None]], *, settings: Settings | None = None) -> None:
    """Run `go` with a connection to a service on a socket."""

    async def run() -> None:
        service = Service(engine(model=Fixed(), settings=settings) if settings is not None else engine(model=Fixed()))
        told = uvicorn.Config(service, http=protocol_of(service), lifespan="off", log_config=None, access_log=False, port=0)  # type: ignore[arg-type]  # a factory
        server = uvicorn.Server(told)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.wait_for(go((reader, writer), server), 30)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    asyncio.run(run())
