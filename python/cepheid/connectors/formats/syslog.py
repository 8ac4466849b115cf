"""Lines of syslog, as RFC 5424 has them, as RFC 3164 has them, and as daemons write them to files."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.connectors.arguments import wrong_option
from cepheid.connectors.formats.apache import MONTHS
from cepheid.connectors.formats.line_format import Line, LineReader, Rejected, RowReader, Rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SyslogLines"]

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_PRIORITY_MAX = len(FACILITIES) * len(SEVERITIES) - 1

_STAMP = r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)"
_IETF = re.compile(
    rf"<(\d{{1,3}})>1 (?:-|{_STAMP}) (\S{{1,255}}) (\S{{1,48}}) (\S{{1,128}}) (\S{{1,32}}) (.*)", re.ASCII | re.DOTALL
)
_BSD = re.compile(
    rf"(?:<(\d{{1,3}})>)?(?:([A-Z][a-z]{{2}}) ([ \d]\d) (\d\d):(\d\d):(\d\d)|{_STAMP}) (\S+) (.*)", re.ASCII | re.DOTALL
)
# What an app says of itself at the beginning of a message: `sshd[4721]:`, `su(pam_unix)[3]:`, `kernel:`.
_TAG = re.compile(r"([^\s:\[\]]{1,64})(?:\[([^\[\]\s]{1,128})\])?: ?(.*)", re.DOTALL)
_ELEMENT = re.compile(r'\[([^\s=\]"]{1,32})((?: [^\s=\]"]{1,32}="(?:[^"\\\]]|\\.)*")*)\]', re.DOTALL)
_PARAMETER = re.compile(r' ([^\s=\]"]{1,32})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
# How far ahead of the clock a line may be before its year is taken for the one before.
_AHEAD = dt.timedelta(days=1)


def _schema() -> pa.Schema:
    import pyarrow as pa

    names = ("host", "app", "pid", "msgid", "message", "structured")
    return pa.schema(
        [
            ("time", pa.timestamp("us", "UTC")),
            ("priority", pa.int32()),
            ("facility", pa.string()),
            ("severity", pa.string()),
            *((name, pa.string()) for name in names),
        ]
    )


@final
class SyslogLines:
    """Lines of syslog, each a row.

    Its columns are ``time``, ``priority``, ``facility``, ``severity``, ``host``, ``app``, ``pid``, ``msgid``,
    ``message`` and ``structured`` (the structured data, as JSON); NULL where a line does not say.

    Lines are of RFC 5424, or of RFC 3164, with its priority or without; also with a time of RFC 3339 in it.

    A time of RFC 3164 has no year and no zone. The year is the one that makes it the last such day before the clock, or
    `year` for the first line of a file, going on where lines pass from December to January.

    Args:
        year: The year of the first line of each file. None: by the clock.
        zone: The time zone of times of RFC 3164, as ``"Europe/Berlin"``; an hour that comes twice is the first.
        clock: Gives the time that it is, with its zone. None: the system's clock.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: The year or the zone is none (code ``source-option``).

    Example:
        >>> from cepheid.connectors.formats import SyslogLines
        >>> line = b"<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed for lonvick on /dev/pts/8"
        >>> [rows] = SyslogLines(year=2023).reader(None).read([(line, len(line) + 1)], last=True)
        >>> row = rows.data.to_pylist()[0]
        >>> row["time"].isoformat(), row["severity"], row["app"], row["pid"]
        ('2023-10-11T22:14:15+00:00', 'crit', 'su', '77')
    """

    __slots__ = ("_clock", "_year", "_zone")

    def __init__(
        self, *, year: int | None = None, zone: str = "UTC", clock: Callable[[], dt.datetime] | None = None
    ) -> None:
        from zoneinfo import ZoneInfo

        if year is not None and (isinstance(year, bool) or not isinstance(year, int)):
            raise TypeError(f"year is a whole number or None, not {type(year).__name__}")
        if year is not None and not 1970 <= year <= 9998:
            raise wrong_option(f"year is between 1970 and 9998, not {year}")
        if not isinstance(zone, str):
            raise TypeError(f"zone is the name of a time zone, not {type(zone).__name__}")
        if clock is not None and not callable(clock):
            raise TypeError(f"clock is a function or None, not {type(clock).__name__}")
        try:
            self._zone: dt.tzinfo = dt.UTC if zone == "UTC" else ZoneInfo(zone)
        except (OSError, ValueError, LookupError):
            raise wrong_option(
                f'zone is the name of a time zone, such as "Europe/Berlin", not {zone[:100]!r}'
            ) from None
        self._year, self._clock = year, clock

    @property
    def topic(self) -> str | None:
        """The topic of its rows where none is said.

        Example:
            >>> from cepheid.connectors.formats import SyslogLines
            >>> SyslogLines().topic
            'syslog.line'
        """
        return "syslog.line"

    def reader(self, state: Any) -> LineReader:
        """A reader of a file.

        Args:
            state: The year and month of the line before, or None.

        Example:
            >>> from cepheid.connectors.formats import SyslogLines
            >>> SyslogLines(year=2005).reader(None).state
            [2005, 0]
        """
        return _SyslogReader(self._year, self._zone, self._clock, state)


class _SyslogReader:
    __slots__ = ("_clock", "_lines", "_month", "_year", "_zone")

    def __init__(self, year: int | None, zone: dt.tzinfo, clock: Callable[[], dt.datetime] | None, state: Any) -> None:
        self._zone, self._clock = zone, clock
        self._year, self._month = year, 0
        if year is not None and isinstance(state, list) and len(state) == 2:
            self._year, self._month = int(state[0]), int(state[1])
        self._lines = RowReader(self._parse, _schema())

    @property
    def state(self) -> Any:
        return None if self._year is None else [self._year, self._month]

    def read(self, lines: list[Line], last: bool) -> Iterator[Rows | Rejected]:
        # Rows are given as soon as a line is none, so that the year is that of the last line given.
        return self._lines.read(lines, last)

    def skip(self) -> None:
        return

    def _parse(self, line: str) -> tuple[Any, ...]:
        match = _IETF.fullmatch(line)
        if match is not None:
            return self._ietf(match)
        match = _BSD.fullmatch(line)
        if match is None:
            raise ValueError("the line is neither of RFC 5424 nor of RFC 3164")
        priority, month, day, hour, minute, second = match.groups()[:6]
        time = self._bsd_time(month, day, hour, minute, second) if month else _stamp(match.groups()[6:14])
        host, rest = match.groups()[14:]
        tag = _TAG.fullmatch(rest)
        app, pid, message = tag.groups() if tag else (None, None, rest)
        return time, *_priority(priority), host, app, pid, None, message, None

    def _ietf(self, match: re.Match[str]) -> tuple[Any, ...]:
        stamp = match.groups()[1:9]
        time = None if stamp[0] is None else _stamp(stamp)
        host, app, pid, msgid = (None if text == "-" else text for text in match.groups()[9:13])
        structured, message = _structured(match.groups()[13])
        return time, *_priority(match[1]), host, app, pid, msgid, message, structured

    def _bsd_time(self, month_name: str, day: str, hour: str, minute: str, second: str) -> dt.datetime:
        month = MONTHS.get(month_name)
        if month is None:
            raise ValueError(f"`{month_name}` is no month")
        parts = month, int(day), int(hour), int(minute), 59 if second == "60" else int(second)
        if self._year is not None:
            year = self._year
            if self._month:
                # From December to January, or back for a line that is late.
                year += (month - self._month < -6) - (month - self._month > 6)
            time = _time(year, parts, self._zone)
            self._year, self._month = year, month
            return time
        now = self._clock() if self._clock is not None else dt.datetime.now(dt.UTC)
        year = (now + _AHEAD).astimezone(self._zone).year
        # A 29th of February is of the last leap year.
        for tried in range(year, year - 9, -1):
            try:
                time = _time(tried, parts, self._zone)
            except ValueError:
                if month != 2 or parts[1] != 29:
                    raise
                continue
            if time <= now + _AHEAD:
                return time
        raise ValueError("the time of the line is none")


def _time(year: int, parts: tuple[int, int, int, int, int], zone: dt.tzinfo) -> dt.datetime:
    try:
        return dt.datetime(year, *parts, tzinfo=zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"the time of the line is none of the year {year}") from None


def _stamp(parts: tuple[str | None, ...]) -> dt.datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in parts[:6])
    fraction, zone = parts[6] or "", parts[7] or "Z"
    micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    try:
        time = dt.datetime(year, month, day, hour, minute, 59 if second == 60 else second, micros, dt.UTC)
        if zone != "Z":
            shift = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
            time = time - shift if zone[0] == "+" else time + shift
    except (ValueError, OverflowError):
        raise ValueError("the time of the line is none") from None
    return time


def _priority(text: str | None) -> tuple[int | None, str | None, str | None]:
    if text is None:
        return None, None, None
    priority = int(text)
    if priority > _PRIORITY_MAX:
        raise ValueError(f"the priority is {priority}, and {_PRIORITY_MAX} is the greatest there is")
    return priority, FACILITIES[priority // 8], SEVERITIES[priority % 8]


def _structured(text: str) -> tuple[str | None, str | None]:
    """The structured data at the beginning of a text, as JSON, and the message behind it."""
    if text == "-" or text.startswith("- "):
        return None, _message(text[2:])
    elements: dict[str, dict[str, Any]] = {}
    place = 0
    while match := _ELEMENT.match(text, place):
        values: dict[str, Any] = elements.setdefault(match[1], {})
        for name, value in _PARAMETER.findall(match[2]):
            value = _ESCAPED.sub(r"\1", value)
            # A name may come several times.
            values[name] = [*_as_list(values[name]), value] if name in values else value
        place = match.end()
    if not place or text[place : place + 1] not in ("", " "):
        raise ValueError("the structured data of the line cannot be read")
    return json.dumps(elements, ensure_ascii=False, separators=(",", ":")), _message(text[place + 1 :])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _message(text: str) -> str | None:
    text = text.removeprefix("\ufeff")
    return text or None
