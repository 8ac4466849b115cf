"""What a server of webhooks answers: each request checked, sent to the app, and answered when it is on the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.connectors.arguments import written_offset
from cepheid.connectors.protocol import Feed, Ticket
from cepheid.connectors.webhook_guard import Message, MessageIds, WebhookGuard
from cepheid.errors import CepheidError, SchemaError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["HEALTH", "Limits", "Receiver"]

HEALTH = "/health"
# What a sender is told to wait, in seconds, when the app has more than it can take.
_RETRY_SECONDS = 5


class Limits(NamedTuple):
    """What a server takes at most.

    Attributes:
        body_bytes: Bytes of a body.
        body_seconds: How long a body may take to come.
        wait_seconds: How long a request waits for the app.
        requests: How many requests may wait for the app.
    """

    body_bytes: int
    body_seconds: float
    wait_seconds: float
    requests: int


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None, **parts: Any) -> None:
        super().__init__(reason)
        self.status, self.headers, self.parts = status, headers, {"error": reason, **parts}


@final
class Receiver:
    """Takes requests, one of an id at a time.

    Sends are made by one thread, so that an offset tells all messages that were sent before it; the disk is waited for
    by many requests at once, so that they share its flush.

    Args:
        feed: The app.
        topic: The type of all events, or None.
        path: Where webhooks are posted to.
        guard: Who may send; None: everybody.
        ids: Which messages have come.
        origins: Who may ask whether it may send (``OPTIONS``).
        limits: What is taken at most.
    """

    __slots__ = ("_feed", "_guard", "_ids", "_limits", "_origins", "_path", "_sender", "_tasks", "_topic")

    def __init__(
        self,
        feed: Feed,
        *,
        topic: str | None,
        path: str,
        guard: WebhookGuard | None,
        ids: MessageIds,
        origins: frozenset[str],
        limits: Limits,
    ) -> None:
        self._feed, self._topic, self._path = feed, topic, path
        self._guard, self._ids, self._origins, self._limits = guard, ids, origins, limits
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="cepheid-http")
        # What is on its way, by the id of its message or by itself; a repeat waits for what came first.
        self._tasks: dict[object, asyncio.Task[int]] = {}

    def application(self) -> Starlette:
        """The application that a server runs."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.responses import JSONResponse
        from starlette.routing import Route

        async def refused(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)

        routes = [
            Route(self._path, self._webhook, methods=["POST", "OPTIONS"] if self._origins else ["POST"]),
            Route(HEALTH, self._health, methods=["GET"]),
        ]
        application = Starlette(routes=routes, exception_handlers={HTTPException: refused})
        # A redirection would have a sender post its secret's work to another address.
        application.router.redirect_slashes = False
        return application

    def close(self) -> None:
        """Ends the thread that sends."""
        self._sender.shutdown(wait=True, cancel_futures=True)

    async def _health(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        stopping = self._feed.stopping
        return JSONResponse({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)

    async def _webhook(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, Response

        if request.method == "OPTIONS":
            headers = self._permission(request.headers)
            return Response(status_code=200, headers=headers) if headers else Response(status_code=403)
        try:
            status, said = await self._received(request)
        except _Refused as refused:
            return JSONResponse(refused.parts, refused.status, refused.headers)
        return JSONResponse(said, status)

    def _permission(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """What CloudEvents has a receiver answer to who asks whether it may send."""
        origin = headers.get("webhook-request-origin", "")
        if origin not in self._origins:
            return None
        permission = {"WebHook-Allowed-Origin": origin, "Allow": "POST"}
        if "webhook-request-rate" in headers:
            permission["WebHook-Allowed-Rate"] = "*"
        return permission

    async def _received(self, request: Request) -> tuple[int, dict[str, Any]]:
        headers = request.headers
        if self._feed.stopping:
            raise _full("the app stops")
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise _Refused(415, "bodies must not be compressed", {"Accept-Encoding": "identity"})
        message: Message | None = None
        if self._guard is not None:
            message = self._guard.announced(headers, time.time())
            if message is None:
                raise _unauthorized()
        body = await self._body(request)
        if self._guard is not None:
            assert message is not None
            # Asked again, as its body may have taken until nobody knows any more that it has come before.
            if not self._guard.admits(message, body) or not self._guard.is_of_now(message, time.time()):
                raise _unauthorized()
            until = self._guard.replayable_until(message)
            going = self._tasks.get(message.message_id)
            if going is not None:
                going.add_done_callback(lambda _: self._ids.keep(message.message_id, until))
                return 202, {"accepted": await self._finished(going)}
            if message.message_id in self._ids:
                self._ids.keep(message.message_id, until)
                return 200, {"accepted": 0, "repeated": True}
            if self._ids.is_full():
                raise _full("too many messages have come to remember them all", 429)
        if len(self._tasks) >= self._limits.requests:
            raise _full("too many requests wait for the app")
        return 202, {"accepted": await self._finished(self._begun(_events(headers, body), message))}

    async def _body(self, request: Request) -> bytes:
        from starlette.requests import ClientDisconnect

        most = self._limits.body_bytes
        too_large = _Refused(413, f"the body has more than {most} bytes", {"Connection": "close"})
        said = request.headers.get("content-length", "0")
        if not said.isdecimal() or int(said[:20]) > most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise too_large
                    parts.append(part)
        except TimeoutError:
            raise _Refused(408, "the body takes too long to come", {"Connection": "close"}) from None
        except ClientDisconnect:
            raise _Refused(400, "the body ends before its end") from None
        return b"".join(parts)

    def _begun(self, data: Any, message: Message | None) -> asyncio.Task[int]:
        """Begins to send what came. It goes on even if who sent it does not wait."""
        key: object = object() if message is None else message.message_id
        task = asyncio.get_running_loop().create_task(self._delivered(data, message))
        self._tasks[key] = task

        def over(ended: asyncio.Task[int]) -> None:
            self._tasks.pop(key, None)
            if not ended.cancelled():
                # Asked for, as whoever waited may have been answered before.
                ended.exception()

        task.add_done_callback(over)
        return task

    async def _delivered(self, data: Any, message: Message | None) -> int:
        """Sends, and gives how many events are on the disk."""
        ticket = await asyncio.get_running_loop().run_in_executor(self._sender, self._send, data, message)
        try:
            positions = await ticket
        except BaseException:
            if message is not None:
                self._ids.remove(message.message_id)
            raise
        return sum(position.events for position in positions)

    def _send(self, data: Any, message: Message | None) -> Ticket:
        if message is None:
            return self._feed.send(data, topic=self._topic)
        assert self._guard is not None
        # Known before it is sent, so that the offset which is committed with its events says so.
        self._ids.add(message.message_id, self._guard.replayable_until(message))
        try:
            offset = written_offset("http", ids=self._ids.saved())
            return self._feed.send(data, topic=self._topic, offset=offset)
        except BaseException:
            self._ids.remove(message.message_id)
            raise

    async def _finished(self, task: asyncio.Task[int]) -> int:
        done, _ = await asyncio.wait({task}, timeout=self._limits.wait_seconds)
        if not done:
            raise _full("the app has more than it can take")
        try:
            return task.result()
        except SchemaError as error:
            raise _bad(error) from None
        except (CepheidError, asyncio.CancelledError):
            # Of what is wrong inside, who sends is told nothing.
            raise _full("the app does not take events") from None


def _events(headers: Mapping[str, str], body: bytes) -> Any:
    from cepheid.schema import http_events

    try:
        return http_events(dict(headers), body)
    except SchemaError as error:
        raise _bad(error) from None


def _bad(error: SchemaError) -> _Refused:
    return _Refused(415 if error.code == "content-type" else 400, error.message[:1000], code=error.code)


def _unauthorized() -> _Refused:
    return _Refused(401, "unauthorized")


def _full(reason: str, status: int = 503) -> _Refused:
    return _Refused(status, reason, {"Retry-After": str(_RETRY_SECONDS)})
