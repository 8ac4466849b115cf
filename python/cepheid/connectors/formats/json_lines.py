"""Lines of JSON objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from cepheid.connectors.formats.line_format import Line, LineReader, Rejected, Rows

__all__ = ["JsonLines"]


@final
class JsonLines:
    """Lines that are JSON objects: CloudEvents, or events with their type and time among their fields.

    What an object says is read by the app, column by column; a line that is no object does not get there.

    Example:
        >>> from cepheid.connectors.formats import JsonLines
        >>> [rejected] = JsonLines().reader(None).read([(b"[1, 2]", 7)], last=True)
        >>> rejected.reason
        'the line is no JSON object: it does not begin with { and end with }'
    """

    __slots__ = ()

    @property
    def topic(self) -> str | None:
        """None: each says its type.

        Example:
            >>> from cepheid.connectors.formats import JsonLines
            >>> JsonLines().topic is None
            True
        """
        return None

    def reader(self, state: Any) -> LineReader:
        """A reader of a file.

        Args:
            state: Of no use: a line says all.

        Example:
            >>> from cepheid.connectors.formats import JsonLines
            >>> list(JsonLines().reader(None).read([(b" ", 2)], last=True))
            []
        """
        return _JsonReader()


class _JsonReader:
    __slots__ = ()

    @property
    def state(self) -> Any:
        return None

    def read(self, lines: list[Line], last: bool) -> Iterator[Rows | Rejected]:
        objects: list[bytes] = []
        end = 0
        for payload, after in lines:
            text = payload.strip()
            if not text:
                continue
            # Checked here, as one text of several lines could be taken for something else by its first character.
            if text.startswith(b"{") and text.endswith(b"}"):
                objects.append(text)
                end = after
                continue
            if objects:
                yield self._rows(objects, end)
                objects = []
            reason = "the line is no JSON object: it does not begin with { and end with }"
            yield Rejected(payload, reason, code="bad-line", end=after)
        if objects:
            yield self._rows(objects, end)

    def skip(self) -> None:
        return

    def _rows(self, objects: list[bytes], end: int) -> Rows:
        from cepheid.schema import JsonText

        return Rows(JsonText(b"\n".join(objects)), end)
