"""Who may send: signatures of webhooks, how old they may be, and which message has come before."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import threading
import time
from collections.abc import Mapping
from typing import Any, final

from cepheid.signing import HEADERS, webhook_secrets

__all__ = ["Message", "MessageIds", "WebhookGuard"]

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ID_MAX = 256
_DIGEST_BYTES = 12
_ENTRY_BYTES = _DIGEST_BYTES + 8
# Of so many messages at least offsets tell that they have come, and of as many as may wait for the app: those that may
# be sent again because a crash kept the answer.
IDS_SAVED = 512
# For so many seconds longer than it could come again a message is remembered: time passes between a look at the clock
# and one at what is known.
_MARGIN = 1.0


@final
class Message:
    """What a request says it is, before its body has been read.

    Attributes:
        message_id: Its id.
        timestamp: When it was sent, in seconds since 1970.
        signatures: Its signatures.
    """

    __slots__ = ("message_id", "signatures", "timestamp")

    def __init__(self, message_id: str, timestamp: int, signatures: str) -> None:
        self.message_id, self.timestamp, self.signatures = message_id, timestamp, signatures


@final
class WebhookGuard:
    """Tells messages that are signed, and not from long ago, from all others.

    Args:
        secrets: What they may be signed with: one of these.
        window: By how many seconds the time of a message may differ from the clock, in either direction.

    Raises:
        TypeError: A secret is neither a `WebhookSecret` nor text nor bytes.
        AppError: There is none, or one is none (code ``webhook-secret``).
    """

    __slots__ = ("_secrets", "_window")

    def __init__(self, secrets: Any, window: float) -> None:
        self._secrets = webhook_secrets(secrets)
        self._window = window

    def announced(self, headers: Mapping[str, str], now: float) -> Message | None:
        """What a request says it is; None: it does not say, or is of another time than now.

        Args:
            headers: Its headers, by names in small letters.
            now: The time, in seconds since 1970.
        """
        message_id, timestamp, signatures = (headers.get(name, "") for name in HEADERS)
        if not 1 <= len(message_id) <= _ID_MAX or not message_id.isprintable() or not _TIMESTAMP.fullmatch(timestamp):
            return None
        message = Message(message_id, int(timestamp), signatures)
        return message if self.is_of_now(message, now) else None

    def is_of_now(self, message: Message, now: float) -> bool:
        """Whether a message is neither of long ago nor of a time to come.

        Args:
            message: What it says it is.
            now: The time, in seconds since 1970.
        """
        return abs(now - message.timestamp) <= self._window

    def replayable_until(self, message: Message) -> float:
        """Until when a message has to be known to be a repeat, in seconds since 1970."""
        return message.timestamp + self._window + _MARGIN

    def admits(self, message: Message, body: bytes) -> bool:
        """Whether a message is signed with one of the secrets.

        Args:
            message: What it says it is.
            body: What came.
        """
        # All of them are tried, so that the time it takes does not tell which.
        verified = [
            secret.verifies(message.message_id, message.timestamp, body, message.signatures) for secret in self._secrets
        ]
        return any(verified)


@final
class MessageIds:
    """Which messages have come, for as long as they could come again.

    Memory: a hundred bytes a message, `ids_max` messages at most; then no more are taken.

    Args:
        ids_max: How many may be remembered.
        saved: What `saved` gave before.
        saved_max: Of how many `saved` tells.
    """

    __slots__ = ("_ids_max", "_known", "_lock", "_saved_max")

    def __init__(self, ids_max: int, saved: str | None = None, *, saved_max: int = IDS_SAVED) -> None:
        self._ids_max, self._saved_max = ids_max, saved_max
        # Until when each could come again, in seconds since 1970; the one that came last stands last.
        self._known: dict[bytes, float] = {}
        self._lock = threading.Lock()
        packed = b"" if saved is None else base64.b64decode(saved)
        for place in range(0, len(packed) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            entry = packed[place : place + _ENTRY_BYTES]
            self._known[entry[:_DIGEST_BYTES]] = int.from_bytes(entry[_DIGEST_BYTES:], "big") / 1000

    def __contains__(self, message_id: str) -> bool:
        until = self._known.get(_digest(message_id))
        return until is not None and until >= time.time()

    def is_full(self) -> bool:
        """Whether no more can be remembered now."""
        with self._lock:
            if len(self._known) >= self._ids_max:
                now = time.time()
                self._known = {digest: until for digest, until in self._known.items() if until >= now}
            return len(self._known) >= self._ids_max

    def add(self, message_id: str, until: float) -> None:
        """Remembers a message until a time, in seconds since 1970."""
        digest = _digest(message_id)
        with self._lock:
            # One that was known before stands last from now on.
            self._known[digest] = max(until, self._known.pop(digest, until))

    def keep(self, message_id: str, until: float) -> None:
        """Remembers a message that is known until a later time: what came again can be replayed for longer."""
        digest = _digest(message_id)
        with self._lock:
            if digest in self._known:
                self._known[digest] = max(until, self._known[digest])

    def remove(self, message_id: str) -> None:
        """Forgets a message: it has failed, and may come again."""
        with self._lock:
            self._known.pop(_digest(message_id), None)

    def saved(self) -> str:
        """The last of them as text, for an offset."""
        with self._lock:
            last = [*itertools.islice(reversed(self._known.items()), self._saved_max)]
        packed = b"".join(digest + int(until * 1000).to_bytes(8, "big") for digest, until in reversed(last))
        return base64.b64encode(packed).decode()


def _digest(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=_DIGEST_BYTES).digest()
