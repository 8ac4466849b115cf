"""JSON as it came, to be read by the registry and by nobody before it."""

from __future__ import annotations

from typing import final

__all__ = ["JsonText"]


@final
class JsonText:
    """JSON text of events: an object, an array of objects, or objects one a line.

    Each object is a CloudEvent (it has ``specversion``), an event of the older shape (``eventId`` or ``eventType``), or
    a flat one, whose fields are the columns.

    Args:
        payload: The text, in UTF-8.

    Raises:
        TypeError: It is neither bytes nor a string.

    Example:
        >>> from cepheid.schema import JsonText
        >>> JsonText(b'{"type": "order.created", "total": 20}')
        JsonText(38 bytes)
    """

    __slots__ = ("_payload",)

    _payload: bytes

    def __init__(self, payload: bytes | bytearray | memoryview | str) -> None:
        if isinstance(payload, str):
            # Half a surrogate pair is no text; what it becomes is refused where it stands.
            payload = payload.encode("utf-8", "surrogatepass")
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"JSON text is bytes or a string, not {type(payload).__name__}")
        self._payload = bytes(payload)

    @property
    def payload(self) -> bytes:
        """The text.

        Example:
            >>> from cepheid.schema import JsonText
            >>> JsonText("[]").payload
            b'[]'
        """
        return self._payload

    def __len__(self) -> int:
        return len(self._payload)

    def __eq__(self, other: object) -> bool:
        return self._payload == other._payload if isinstance(other, JsonText) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._payload)

    def __repr__(self) -> str:
        # What is in it may be private.
        return f"JsonText({len(self._payload)} bytes)"
