"""Lines of web servers' access logs: the common and the combined format of Apache, which nginx writes too."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from cepheid.connectors.formats.line_format import RowFormat

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["APACHE"]

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# What a server is told to write behind the combined format is passed over.
_LINE = re.compile(
    r"(\S+) (\S+) (\S+) "
    r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    rf"{_QUOTED} (\d{{3}}|-) (\d{{1,18}}|-)(?: {_QUOTED} {_QUOTED}(?: .*)?)?\s*",
    re.ASCII | re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])')
_REQUEST = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S.*?)(?: (HTTP/\d(?:\.\d)?))?", re.DOTALL)
MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("time", pa.timestamp("us", "UTC")),
            ("client", text),
            ("ident", text),
            ("user", text),
            ("method", text),
            ("path", text),
            ("protocol", text),
            ("status", pa.int32()),
            ("bytes", pa.int64()),
            ("referrer", text),
            ("agent", text),
        ]
    )


def _parse(line: str) -> tuple[Any, ...]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("the line is neither of the common nor of the combined log format")
    client, ident, user, day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()[:12]
    request, status, size, referrer, agent = match.groups()[12:]
    try:
        zone = dt.timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        # Servers write 60 for a leap second.
        seconds = 59 if second == "60" else int(second)
        time = dt.datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), seconds, tzinfo=dt.UTC)
        time = time - zone if sign == "+" else time + zone
    except (KeyError, ValueError, OverflowError):
        raise ValueError("the time of the line is none") from None
    request = _plain(request)
    called = _REQUEST.fullmatch(request or "")
    # What was sent in place of a request is kept as the path, so that it can be looked for.
    method, path, protocol = called.groups() if called else (None, request, None)
    return (
        time,
        client,
        _given(ident),
        _given(user),
        method,
        path,
        protocol,
        None if status == "-" else int(status),
        None if size == "-" else int(size),
        _plain(referrer),
        _plain(agent),
    )


def _given(text: str) -> str | None:
    return None if text == "-" else text


def _plain(quoted: str | None) -> str | None:
    """What stands between quotes, without the escapes of quotes; other escapes, which are of bytes, stay."""
    if quoted is None or quoted == "-":
        return None
    return _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted


#: Access logs, as rows of ``time``, ``client``, ``ident``, ``user``, ``method``, ``path``, ``protocol``, ``status``,
#: ``bytes``, ``referrer`` and ``agent``; NULL where a line has ``-``.
APACHE = RowFormat(_parse, _schema, topic="apache.request")
