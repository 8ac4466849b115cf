"""Addresses as they may be shown: secrets stand in any part of them but scheme, host and port."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from cepheid.actions.checking import invalid_action

__all__ = ["address_digest", "checked_http_url", "shown_host", "shown_url"]


def checked_http_url(url: str, what: str) -> str:
    """An address of HTTP, as it was given.

    Raises:
        TypeError: It is no text.
        AppError: It is not one that can be called (code ``invalid-action``). The message does not have the address.
    """
    if not isinstance(url, str):
        raise TypeError(f"{what} is text, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not url.isascii() or not url.isprintable() or " " in url or len(url) > 8_000:
        raise invalid_action(
            f"{what} begins with http:// or https://, names a host, and has neither spaces nor characters beyond ASCII"
        )
    return url


def shown_host(url: str) -> str:
    """Host, and the port where one is given."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def shown_url(url: str) -> str:
    """An address without what may be secret: chat services have their tokens in the path."""
    parts = urlsplit(url)
    rest = "/..." if parts.path.strip("/") or parts.query else "/"
    return f"{parts.scheme}://{shown_host(url)}{rest}"


def address_digest(url: str) -> str:
    """Eight digits that tell addresses of one host apart. Passwords and queries have no say in it, so that it cannot
    be asked about them.
    """  # noqa: D205
    return hashlib.sha256(urlsplit(url).path.encode()).hexdigest()[:8]
