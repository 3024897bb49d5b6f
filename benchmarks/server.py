"""One server under measurement, in a process of its own: Honour on a data folder, or the same HTTP stack with nothing behind it.

python benchmarks/server.py honour FOLDER N_ROUTES BUNDLE
python benchmarks/server.py floor
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import made
import uvicorn

from honour.serving import start

_NOTHING = b'{"action":"stop"}' + b" " * 1_500


async def floor(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body, answer as many bytes as a decision has."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_NOTHING)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _NOTHING})


def main() -> None:
    """Serve until SIGTERM; the first line on standard output holds the address."""
    if sys.argv[1] == "floor":
        config = uvicorn.Config(floor, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None)
        listening = socket.create_server(("127.0.0.1", 0))
        sys.stdout.write(f"answers on http://127.0.0.1:{listening.getsockname()[1]} \n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listening])
        return
    settings = made.settings(Path(sys.argv[2]), n_routes=int(sys.argv[3]))
    engine = start.prepare(settings, bundle=Path(sys.argv[4]))
    start.run(engine, settings, host="127.0.0.1", port=0, config=None, load=lambda: settings)


if __name__ == "__main__":
    main()
