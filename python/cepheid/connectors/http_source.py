"""A server that webhooks are posted to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.connectors.arguments import (
    checked_bytes,
    checked_number,
    checked_seconds,
    checked_source_name,
    checked_topic,
    read_offset,
    wrong_option,
)
from cepheid.connectors.file_source import checked_path
from cepheid.connectors.http_receiver import HEALTH, Limits, Receiver
from cepheid.connectors.protocol import Feed
from cepheid.connectors.webhook_guard import IDS_SAVED, MessageIds, WebhookGuard
from cepheid.errors import AppError
from cepheid.options import checked_flag
from cepheid.signing import WebhookSecret

if TYPE_CHECKING:
    import uvicorn

__all__ = ["HttpSource"]

_LOOK_SECONDS = 0.05
# How long requests that are being answered have when the app stops.
_GRACE_SECONDS = 10


@final
class HttpSource:
    """A server for webhooks: events are posted to it, and answered when they are on the disk.

    A request has one event or many, as CloudEvents over HTTP (structured, batched, binary), or as JSON. It is signed as
    Standard Webhooks has it, and nothing of it is read before its signature has been checked. The signature is over the
    id, the time and the body; other headers, ``ce-type`` among them, are not signed: use TLS where somebody could
    change them on the way, or send structured events.

    Answers:

    - 202 ``{"accepted": n}``: n events are on the disk; rows that are none are among the rejected.
    - 200 ``{"accepted": 0, "repeated": true}``: a message of this id has come before.
    - 400, 415: it holds no events, with the reason; its content type is none, or it is compressed.
    - 401: it is not signed with one of the secrets, or is of another time than now.
    - 408, 413: it takes too long, or is too large.
    - 429, 503 with ``Retry-After``: the app has more than it can take, or stops; post it again.

    After a 503 a message may have been taken all the same; posted again with its id it counts once, if that is within
    `replay_window` of the last time it came. Of messages before a restart the last 512 ids are known, or `requests_max`
    if that is more, so that what was taken and not answered counts once, too; earlier ones, posted again within
    `replay_window`, would be taken again.

    It listens on the loopback interface, so that others reach it only through a proxy, unless `host` says otherwise.

    Args:
        host: The address that it listens on.
        port: The port; 0: one that is free.
        secret: What messages are signed with; several while senders change theirs. Or None, with `unsigned`.
        unsigned: Says that everybody who reaches it may send. Repeats are not told then.
        path: Where events are posted to. ``/health`` answers whether it runs.
        topic: The type of all events. None: each says its own.
        body_bytes_max: How large a body may be.
        replay_window: How long ago a message may have been sent, and how far ahead its clock may be.
        request_timeout: How long a body may take to come, and how long a request waits for the app.
        allowed_origins: Who gets permission to send when it asks for it, as CloudEvents has it (``OPTIONS`` with
            ``WebHook-Request-Origin``).
        certificate: A file with a certificate and those that vouch for it; with it the server speaks TLS.
        key: A file with its key, which has no password.
        requests_max: How many requests may wait for the app; and, times four, how many connections may be open. Past
            512 each makes the offset, which is committed with every message, 27 bytes longer.
        ids_max: How many ids are remembered within `replay_window`; past that, messages get a 429.
        name: What offsets are saved under.

    Raises:
        ImportError: ``starlette`` and ``uvicorn`` are not installed: ``pip install 'cepheid[http]'``.
        TypeError: An argument is of the wrong type.
        PatternError: A span of time is none (code ``invalid-duration``).
        AppError: There is no secret, or one is too short (code ``webhook-secret``); another argument fits no server
            (code ``source-option``).

    Example:
        >>> from cepheid.connectors import HttpSource
        >>> HttpSource(port=0, secret="correct horse battery staple")
        HttpSource('127.0.0.1', 0, path='/events', signed)
    """

    __slots__ = (
        "_bound", "_certificate", "_guard", "_host", "_ids_max", "_key", "_limits", "_listening", "_name", "_origins",
        "_path", "_port", "_topic",
    )  # fmt: skip

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        secret: str | bytes | WebhookSecret | Iterable[str | bytes | WebhookSecret] | None = None,
        unsigned: bool = False,
        path: str = "/events",
        topic: str | None = None,
        body_bytes_max: str | int = "1MB",
        replay_window: Any = "5m",
        request_timeout: Any = "30s",
        allowed_origins: Iterable[str] = (),
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        requests_max: int = 64,
        ids_max: int = 250_000,
        name: str = "http",
    ) -> None:
        if not isinstance(host, str):
            raise TypeError(f"host is text, not {type(host).__name__}")
        if not host:
            raise wrong_option('host is an address; to listen on all of them say "0.0.0.0" or "::"')
        self._host, self._port = host, checked_number(port, "port", 0, 65_535)
        window = checked_seconds(replay_window, "replay_window")
        if secret is None and not checked_flag(unsigned, "unsigned"):
            raise AppError(
                "HttpSource needs secret=, which messages are signed with; to let everybody send who reaches it, say "
                "secret=None, unsigned=True",
                code="webhook-secret",
            )
        if secret is not None and unsigned:
            raise wrong_option("secret= and unsigned=True say opposite things")
        self._guard = None if secret is None else WebhookGuard(secret, window)
        self._path = _checked_route(path)
        self._topic = checked_topic(topic)
        seconds = checked_seconds(request_timeout, "request_timeout")
        requests = checked_number(requests_max, "requests_max", 1, 10_000)
        self._limits = Limits(checked_bytes(body_bytes_max, "body_bytes_max"), seconds, seconds, requests)
        self._ids_max = checked_number(ids_max, "ids_max", 1, 100_000_000)
        self._origins = _checked_origins(allowed_origins)
        self._certificate, self._key = _checked_certificate(certificate, key)
        self._name = checked_source_name(name)
        self._bound: int | None = None
        self._listening = threading.Event()
        _installed()

    @property
    def name(self) -> str:
        """What its offsets are saved under.

        Example:
            >>> from cepheid.connectors import HttpSource
            >>> HttpSource(secret=None, unsigned=True).name
            'http'
        """
        return self._name

    @property
    def port(self) -> int | None:
        """The port that it listens on; None: it does not listen.

        Example:
            >>> from cepheid.connectors import HttpSource
            >>> HttpSource(port=0, secret=None, unsigned=True).port is None
            True
        """
        return self._bound

    def listening(self, timeout: float | None = None) -> int:
        """Waits until it listens, and gives the port.

        Args:
            timeout: Seconds. None: as long as it takes.

        Raises:
            TimeoutError: It does not listen yet.

        Example:
            >>> from cepheid.connectors import HttpSource
            >>> HttpSource(port=0, secret=None, unsigned=True).listening(timeout=0.001)
            Traceback (most recent call last):
            ...
            TimeoutError: source `http` does not listen yet
        """
        self._listening.wait(timeout)
        port = self._bound
        if port is None:
            raise TimeoutError(f"source `{self._name}` does not listen yet")
        return port

    def run(self, feed: Feed) -> None:
        """Serves until the app stops; requests that have come are answered before.

        Args:
            feed: Where events go.

        Raises:
            AppError: It cannot listen there (code ``source-address``), or what is saved under the name is of another
                source (code ``source-offset``).
        """
        said = read_offset(feed.offset, self._name, "http")
        saved = None if said is None else said.get("ids")
        receiver = Receiver(
            feed,
            topic=self._topic,
            path=self._path,
            guard=self._guard,
            ids=MessageIds(self._ids_max, saved, saved_max=max(IDS_SAVED, self._limits.requests)),
            origins=self._origins,
            limits=self._limits,
        )
        with contextlib.closing(receiver), self._open_socket() as listener:
            server = self._server(receiver)
            self._bound = listener.getsockname()[1]
            self._listening.set()
            try:
                asyncio.run(_served(server, listener, feed))
            finally:
                self._listening.clear()
                self._bound = None

    def _open_socket(self) -> socket.socket:
        try:
            [family, kind, protocol, _, address] = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with contextlib.ExitStack() as stack:
                listener = stack.enter_context(socket.socket(family, kind, protocol))
                if os.name == "posix":
                    # So that it can be started again at once; on Windows it would let others take the port.
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(128)
                listener.setblocking(False)
                stack.pop_all()
                return listener
        except (OSError, UnicodeError) as error:
            raise AppError(
                f"source `{self._name}` cannot listen on {self._host}, port {self._port}: {error}",
                code="source-address",
                source=self._name,
            ) from None

    def _server(self, receiver: Receiver) -> uvicorn.Server:
        import uvicorn

        class Server(uvicorn.Server):
            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                # Signals are the app's.
                yield

        return Server(
            uvicorn.Config(
                receiver.application(),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=4 * self._limits.requests,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                h11_max_incomplete_event_size=65_536,
                ssl_certfile=self._certificate,
                ssl_keyfile=self._key,
            )
        )

    def __repr__(self) -> str:
        signed = "signed" if self._guard is not None else "unsigned"
        topic = "" if self._topic is None else f", topic={self._topic!r}"
        return f"HttpSource({self._host!r}, {self._bound or self._port}, path={self._path!r}{topic}, {signed})"


async def _served(server: uvicorn.Server, listener: socket.socket, feed: Feed) -> None:
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    while not serving.done() and not feed.stopping:
        await asyncio.wait({serving}, timeout=_LOOK_SECONDS)
    server.should_exit = True
    await serving


def _checked_route(path: Any) -> str:
    if not isinstance(path, str):
        raise TypeError(f"path is text, not {type(path).__name__}")
    if not path.startswith("/") or path == HEALTH or any(part in path for part in "{}?#% ") or not path.isprintable():
        raise wrong_option(f"path begins with / and is not {HEALTH}, such as /events; not {path[:100]!r}")
    return path


def _checked_origins(origins: Any) -> frozenset[str]:
    if isinstance(origins, str):
        origins = [origins]
    if not isinstance(origins, Iterable):
        raise TypeError(f"allowed_origins is a list of names, not {type(origins).__name__}")
    found = frozenset(origins)
    for origin in found:
        if not isinstance(origin, str):
            raise TypeError(f"an origin is text, not {type(origin).__name__}")
        # It is written into a header.
        if not origin or not origin.isprintable() or not origin.isascii() or " " in origin:
            raise wrong_option(f"an origin is the name of who sends, such as events.example.com; not {origin[:100]!r}")
    return found


def _checked_certificate(certificate: Any, key: Any) -> tuple[str | None, str | None]:
    if certificate is None:
        if key is not None:
            raise wrong_option("key= is that of certificate=, which is missing")
        return None, None
    paths = checked_path(certificate), None if key is None else checked_path(key)
    try:
        # A key that has a password would be asked for on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*paths, password=b"")
    except (OSError, ValueError) as error:
        raise wrong_option(f"the certificate and its key cannot be read: {error}") from None
    return paths


def _installed() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"HttpSource needs {error.name}: pip install 'cepheid[http]'", name=error.name
        ) from None
