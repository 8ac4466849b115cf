"""Webhooks: an event sent to an address, signed."""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote

from cepheid.actions.addresses import address_digest, checked_http_url, shown_host, shown_url
from cepheid.actions.checking import checked_bytes_max, checked_name, checked_seconds, invalid_action
from cepheid.actions.event_json import cloudevent, json_bytes
from cepheid.actions.http_loop import HttpLoop
from cepheid.errors import ActionError
from cepheid.names import invalid_choice
from cepheid.signing import HEADERS, WebhookSecret, webhook_secrets

if TYPE_CHECKING:
    import httpx

    from cepheid.actions.protocol import ActionContext

__all__ = ["Webhook"]

Secret = str | bytes | WebhookSecret

_METHODS = ("POST", "PUT", "PATCH")
_FORMATS = ("cloudevents", "json")
_CONTENT_TYPES = {"cloudevents": "application/cloudevents+json; charset=UTF-8", "json": "application/json"}
# Answers after which another attempt may go otherwise, besides those of 500 and above.
_TRY_AGAIN = frozenset({408, 425, 429})
# Whoever is told to wait for longer asks again after a day.
_RETRY_AFTER_MAX_S = 86_400.0
# So much of an answer is read, for the connection to be used again; what it says is of no interest.
_ANSWER_BYTES_MAX = 65_536
# Ids of messages are that long at most in many receivers.
_KEY_LENGTH_MAX = 255
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# Headers that are made of the event, the request or the secret.
_OWN_HEADERS = frozenset({*HEADERS, "idempotency-key", "content-length", "host", "transfer-encoding", "connection"})


@final
class Webhook:
    """Sends each event to an address over HTTP, signed as the Standard Webhooks specification has it.

    - **Answers**: 2xx is success. 408, 425, 429 and 5xx, a connection that fails and a time-out are tried again, after
      what the header ``Retry-After`` says (a day at most). Everything else has no use to try again; redirects are such,
      too, as an address that moves takes the events along.
    - **Once**: the idempotency key is in ``webhook-id`` and ``Idempotency-Key``, the same at every attempt. The
      receiver may be told more than once, and drops what it knows. What is not visible ASCII is escaped as in
      addresses; in place of a key that would be longer than 255 characters stands its hash.
    - **Limits**: an attempt lasts no longer than `ActionContext.timeout`, the last byte of the answer included. Of the
      answer 64 KiB are read, and nothing is kept.

    Connections are kept and used again. The thread that makes the requests begins with the first event and ends with
    `close`.

    Args:
        url: The address, ``https://`` or ``http://``. Everything but its host is taken for a secret, and never shown.
        secret: What is signed with, or several: while a receiver changes from one to another, signatures of both are
            sent. None: not signed; the receiver then cannot tell who sends.
        format: What is sent. ``"cloudevents"``: a CloudEvent in structured mode; ``"json"``: all columns as an object;
            a function of the event: what it gives, text or bytes as they are, all else as JSON.
        headers: More headers, the same for every event.
        method: ``"POST"``, ``"PUT"`` or ``"PATCH"``.
        verify: Whether the receiver's certificate is checked; or the `ssl.SSLContext` to check it with.
        timeout: Seconds for an attempt where the context names none.
        body_bytes_max: The most that is sent; a larger body is refused, and not tried again.
        client: An `httpx.AsyncClient` of one's own, with a proxy or a certificate say; nobody else may use it, and
            `close` closes it. None: one is made.
        name: The name of the action. None: ``webhook:``, the host, and a digest of the path.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An argument says something impossible (code ``invalid-action``), or there are no secrets, too many, or
            one is too short (code ``webhook-secret``).
        ImportError: `httpx` is not installed.

    Example:
        >>> from cepheid.actions import Webhook
        >>> Webhook("https://example.com/hooks/aB3dE5", secret="correct horse battery staple", name="billing")
        Webhook('https://example.com/...', name='billing')
    """

    __slots__ = (
        "_body_bytes_max",
        "_content_type",
        "_format",
        "_headers",
        "_loop",
        "_method",
        "_secrets",
        "_timeout",
        "_url",
        "name",
    )

    #: The name under which it is saved what has been done.
    name: str
    #: Calls block; they are made in threads.
    is_coroutine = False

    def __init__(
        self,
        url: str,
        *,
        secret: Secret | Iterable[Secret] | None = None,
        format: str | Callable[[Mapping[str, Any]], Any] = "cloudevents",
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        verify: bool | ssl.SSLContext = True,
        timeout: float = 30.0,
        body_bytes_max: int = 1_048_576,
        client: httpx.AsyncClient | None = None,
        name: str | None = None,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ImportError("webhooks are sent by `httpx`; install cepheid[http]") from error
        self._url = checked_http_url(url, "the address of a webhook")
        self.name = checked_name(name, f"webhook:{shown_host(url)}#{address_digest(url)}")
        if method not in _METHODS:
            raise invalid_choice("method", method, list(_METHODS))
        if not callable(format) and format not in _FORMATS:
            raise invalid_choice("format", format, [*_FORMATS, "a function"])
        self._method, self._format = method, format
        self._content_type = "application/json" if callable(format) else _CONTENT_TYPES[format]
        self._headers = _checked_headers(headers)
        self._secrets = () if secret is None else webhook_secrets(secret)
        self._timeout = checked_seconds(timeout, "timeout")
        self._body_bytes_max = checked_bytes_max(body_bytes_max, "body_bytes_max")
        if not isinstance(verify, (bool, ssl.SSLContext)):
            raise TypeError(f"verify is True, False or an ssl.SSLContext, not {type(verify).__name__}")
        if client is not None and not isinstance(client, httpx.AsyncClient):
            raise TypeError(f"client is an httpx.AsyncClient, not {type(client).__name__}")

        def make() -> httpx.AsyncClient:
            # Cookies would let one answer change later requests.
            jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
            return httpx.AsyncClient(verify=verify, cookies=jar)

        self._loop = HttpLoop(make if client is None else lambda: client, once=client is not None)

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> None:
        """Sends an event.

        Args:
            event: The event, by column.
            context: What an action is told.

        Raises:
            ActionError: It was not taken: try again (code ``webhook-failed``, with `retry_after` where the answer says
                so), or do not (``webhook-refused``, ``webhook-too-large``, ``event-json``; permanent).
        """
        import httpx

        body, headers = self._request(event, context)
        timeout = self._timeout if context.timeout is None else context.timeout
        answer: list[tuple[int, str | None]] = []
        try:
            self._loop.run(lambda client: self._sent(client, body, headers, timeout, answer), timeout)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # Where it was the rest of an answer that failed, what the answer is was said before.
            if not answer and isinstance(error, (TimeoutError, httpx.TimeoutException)):
                raise self._failed(f"no answer within {timeout:g} s") from None
            if not answer:
                # The text of these names hosts and what failed, and no address.
                raise self._failed(f"no answer: {type(error).__name__}: {error}"[:300]) from None
        [(status, retry_after)] = answer
        if 200 <= status < 300:
            return
        if status in _TRY_AGAIN or status >= 500:
            raise self._failed(f"the answer is {status}", _seconds(retry_after, context.now))
        moved = "; redirects are not followed: give the address that it has now" if 300 <= status < 400 else ""
        raise ActionError(
            f"{self._shown()}: the answer is {status}, and would be again{moved}",
            code="webhook-refused",
            action=self.name,
            permanent=True,
        )

    def _request(self, event: Mapping[str, Any], context: ActionContext) -> tuple[bytes, dict[str, str]]:
        if callable(self._format):
            made = self._format(event)
            body = made.encode() if isinstance(made, str) else bytes(made) if _is_bytes(made) else json_bytes(made)
        elif self._format == "cloudevents":
            body = json_bytes(cloudevent(event, topic=context.topic, key=context.key))
        else:
            body = json_bytes(event)
        if len(body) > self._body_bytes_max:
            raise ActionError(
                f"{self._shown()}: the body has {len(body)} bytes, and {self._body_bytes_max} are sent at most; raise "
                "body_bytes_max, or send less with format=",
                code="webhook-too-large",
                action=self.name,
                permanent=True,
            )
        key = _header_key(context.key)
        headers = {"content-type": self._content_type, **self._headers, "idempotency-key": key}
        message, timestamp, signature = HEADERS
        headers[message] = key
        headers[timestamp] = str(int(context.now.timestamp()))
        if self._secrets:
            sent = int(headers[timestamp])
            headers[signature] = " ".join(secret.sign(key, sent, body) for secret in self._secrets)
        return body, headers

    async def _sent(
        self,
        client: Any,
        body: bytes,
        headers: dict[str, str],
        timeout: float,
        answer: list[tuple[int, str | None]],
    ) -> None:
        """Puts the status of the answer, and what it says of when to try again, into `answer` once it is known."""
        request = client.stream(
            self._method, self._url, content=body, headers=headers, timeout=timeout, follow_redirects=False
        )
        async with request as response:
            answer.append((response.status_code, response.headers.get("retry-after")))
            read = 0
            # As it comes over the wire: a compressed answer may be a thousand times as long as it looks.
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > _ANSWER_BYTES_MAX:
                    break

    def _failed(self, what: str, retry_after: float | None = None) -> ActionError:
        return ActionError(f"{self._shown()}: {what}", code="webhook-failed", action=self.name, retry_after=retry_after)

    def _shown(self) -> str:
        return f"{self._method} {shown_url(self._url)}"

    def close(self) -> None:
        """Ends what is under way, and closes the connections. The next event opens new ones.

        With a client of one's own, which it closes, an event after that fails (code ``action-closed``).

        Example:
            >>> from cepheid.actions import Webhook
            >>> Webhook("https://example.com/").close()
        """
        self._loop.close()

    def __repr__(self) -> str:
        return f"Webhook({shown_url(self._url)!r}, name={self.name!r})"


def _header_key(key: str) -> str:
    """A key as a header holds it: visible ASCII, with spaces only within, and no longer than receivers take."""
    # That of an event which somebody else named may have anything.
    shown = quote(key, safe="!#$&'()*+,/:;=?@[]~ ", errors="backslashreplace")
    if shown != shown.strip(" "):
        shown = shown.replace(" ", "%20")
    return shown if len(shown) <= _KEY_LENGTH_MAX else f"sha256/{hashlib.sha256(shown.encode()).hexdigest()}"


def _is_bytes(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """More headers, in lower case; the values are secrets, and in no message."""
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers is a mapping of names to values, not {type(headers).__name__}")
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("headers is a mapping of text to text")
        if not _HEADER_NAME.fullmatch(name):
            raise invalid_action(f"{name[:100]!r} is no name of a header")
        if not value.isascii() or not value.isprintable():
            raise invalid_action(f"the value of the header {name} has characters beyond visible ASCII")
        if name.lower() in _OWN_HEADERS:
            raise invalid_action(f"the header {name} is set by the webhook itself")
        checked[name.lower()] = value
    return checked


def _seconds(retry_after: str | None, now: dt.datetime) -> float | None:
    """What ``Retry-After`` says, as seconds from now: a number of them, or a date. None: nothing that can be read."""
    if retry_after is None or len(retry_after) > 100:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _RETRY_AFTER_MAX_S)
    try:
        at = email.utils.parsedate_to_datetime(text)
        # Without a zone it is UTC, as everything in HTTP is.
        seconds = ((at if at.tzinfo else at.replace(tzinfo=dt.UTC)) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_S)
