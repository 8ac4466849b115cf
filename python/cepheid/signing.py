"""Signatures of webhooks, as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, final

from cepheid.errors import AppError

__all__ = ["HEADERS", "WebhookSecret", "webhook_secrets"]

#: The names of the three headers: the id of the message, when it was sent in seconds since 1970, and the signatures.
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

_PREFIX = "whsec_"
# What the specification asks of a secret at least is 24 bytes; less than 16 can be guessed.
_BYTES_MIN = 16
_SECRETS_MAX = 16


@final
class WebhookSecret:
    """A secret that two parties share, to sign what one sends to the other.

    Its `repr` does not show it.

    Args:
        secret: ``whsec_`` and base64, as the specification writes secrets; or any other text, or bytes, taken as they
            are. Sixteen bytes at least.

    Raises:
        TypeError: It is neither text nor bytes.
        AppError: It is too short, no base64, or no text that UTF-8 can hold (code ``webhook-secret``).

    Example:
        >>> from cepheid.signing import WebhookSecret
        >>> secret = WebhookSecret("correct horse battery staple")
        >>> signature = secret.sign("msg-1", 1_700_000_000, b"{}")
        >>> secret.verifies("msg-1", 1_700_000_000, b"{}", signature)
        True
        >>> secret
        WebhookSecret('...')
    """

    __slots__ = ("_key",)

    _key: bytes

    def __init__(self, secret: str | bytes) -> None:
        if not isinstance(secret, (str, bytes)):
            raise TypeError(f"the secret of a webhook is text or bytes, not {type(secret).__name__}")
        key = _key_of(secret)
        # Raised here, as the error of whoever could not read it has the secret among its parts.
        if key is None:
            raise AppError(
                "the secret of a webhook begins with whsec_, and what follows is no base64; or it is text that "
                "UTF-8 cannot hold",
                code="webhook-secret",
            )
        self._key = key
        if len(self._key) < _BYTES_MIN:
            raise AppError(
                f"the secret of a webhook has {len(self._key)} bytes; take {_BYTES_MIN} at least, of random ones",
                code="webhook-secret",
            )

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The signature of a message.

        Args:
            message_id: Its id.
            timestamp: When it is sent, in seconds since 1970.
            body: What is sent.

        Returns:
            The value of the header ``webhook-signature``.

        Example:
            >>> from cepheid.signing import WebhookSecret
            >>> WebhookSecret("correct horse battery staple").sign("msg-1", 1_700_000_000, b"{}")[:3]
            'v1,'
        """
        signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
        return "v1," + base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()

    def verifies(self, message_id: str, timestamp: int, body: bytes, signatures: str) -> bool:
        """Whether one of the signatures of a header is that of the message; compared in constant time.

        Args:
            message_id: The id that came with it.
            timestamp: The time that came with it, in seconds since 1970. Whoever asks checks that it is not long ago.
            body: What came.
            signatures: The header: signatures between spaces, one for each secret of a sender that changes its own.

        Example:
            >>> from cepheid.signing import WebhookSecret
            >>> WebhookSecret("correct horse battery staple").verifies("msg-1", 1, b"{}", "v1,AAAA v2,BBBB")
            False
        """
        wanted = self.sign(message_id, timestamp, body).encode()
        return any(hmac.compare_digest(wanted, given) for given in _each(signatures))

    def __repr__(self) -> str:
        return "WebhookSecret('...')"


def webhook_secrets(given: Any) -> tuple[WebhookSecret, ...]:
    """Secrets that hold at the same time: one, or several while a party changes its own.

    Args:
        given: A `WebhookSecret`, what one is made of, or several of these.

    Raises:
        TypeError: It is none of these.
        AppError: There are none, or more than sixteen, or one is none (code ``webhook-secret``).

    Example:
        >>> from cepheid.signing import webhook_secrets
        >>> webhook_secrets(["correct horse battery staple", b"0123456789abcdef"])
        (WebhookSecret('...'), WebhookSecret('...'))
    """
    listed = [given] if isinstance(given, (str, bytes, WebhookSecret)) else given
    if not isinstance(listed, Iterable):
        raise TypeError(f"secret is a WebhookSecret, text, bytes, or a list of them, not {type(given).__name__}")
    secrets = tuple(one if isinstance(one, WebhookSecret) else WebhookSecret(one) for one in listed)
    if not 1 <= len(secrets) <= _SECRETS_MAX:
        raise AppError(
            f"secret names one secret, or up to {_SECRETS_MAX} while they are changed; not {len(secrets)}",
            code="webhook-secret",
        )
    return secrets


def _key_of(secret: str | bytes) -> bytes | None:
    if isinstance(secret, bytes):
        return secret
    try:
        if secret.startswith(_PREFIX):
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        return secret.encode()
    except ValueError:
        return None


def _each(signatures: str) -> Iterable[bytes]:
    return (given.encode(errors="replace") for given in signatures.split(" ")[:16])
