"""What tests of actions share: contexts as an app makes them, memory, and servers that are really there."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cepheid.actions import ActionContext

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
# Values that have been commands, templates, headers and paths somewhere.
HOSTILE = [
    "; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a && b | c > d",
    "'; DROP TABLE orders; --",
    '"quoted" and \\ back',
    "{0.__class__}",
    "{type.__class__.__mro__}",
    "%s %(x)s %d",
    "line\r\nX-Injected: yes\r\n\r\nbody",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "~root",
    "*",
    "\u202etxt.exe",
    "\x1b[31mred\x1b[0m",
    "ünïcödé \N{PILE OF POO}",
    "x" * 20_000,
    "",
]


class Remembered:
    """`Memory` in a folder, so that it outlasts whoever remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.puts = 0

    def get(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / name.replace("/", "_")).read_bytes()
        return None

    def put(self, name: str, value: bytes) -> None:
        self.puts += 1
        (self.folder / name.replace("/", "_")).write_bytes(value)


class Forgotten:
    """`Memory` of actions that are to need none."""

    def get(self, name: str) -> bytes | None:
        raise AssertionError(f"asked for {name}")

    def put(self, name: str, value: bytes) -> None:
        raise AssertionError(f"remembers {name}")


def context(key: str = "key-1", *, memory: Any = None, timeout: float | None = 10.0, attempt: int = 1) -> ActionContext:
    return ActionContext(
        action="test",
        key=key,
        attempt=attempt,
        topic="order.created",
        position=7,
        now=NOW,
        timeout=timeout,
        memory=Forgotten() if memory is None else memory,
    )


def order(**columns: Any) -> dict[str, Any]:
    """An event, with an envelope."""
    return {
        "id": "e1",
        "type": "order.created",
        "source": "shop",
        "time": NOW,
        "subject": None,
        "correlationid": "c1",
        "causationid": None,
        "schemaversion": 2,
        "partitionkey": "ann",
        "order": 7,
        "total": 12.5,
        **columns,
    }


@dataclass
class Heard:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server, what it is asked, and what it answers."""

    url: str
    heard: list[Heard] = field(default_factory=list)
    # What it does with the next requests; the last is done with all that follow.
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Callable[..., None]:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return write


@contextlib.contextmanager
def http_server() -> Iterator[Server]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                server.heard.append(Heard(self.command, self.path, headers, body))
                act = server.answers[0]
                if len(server.answers) > 1:
                    del server.answers[0]
            with contextlib.suppress(ConnectionError):
                act(self)

        do_PUT = do_PATCH = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True
        # How many may knock at once.
        request_queue_size = 128

    listener = Listener(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listener.server_port}", answers=[answer(200)])
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
