"""Formats of lines: what each makes of lines as they are found in the wild, and of lines that are none."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pyarrow as pa
import pytest
from feeds import json_text_module
from hypothesis import given, settings
from hypothesis import strategies as st

from cepheid import AppError
from cepheid.connectors.formats import (
    APACHE,
    FORMATS,
    CsvLines,
    JsonLines,
    LineFormat,
    Rejected,
    RowFormat,
    SyslogLines,
)

json_text_module()


def read(line_format: LineFormat, *lines: str | bytes, state: Any = None) -> tuple[list[dict], list[Rejected]]:
    """Rows and rejects of a file that holds these lines and nothing else."""
    place, given_lines = 0, []
    for line in lines:
        payload = line.encode() if isinstance(line, str) else line
        place += len(payload) + 1
        given_lines.append((payload, place))
    rows: list[dict] = []
    rejected: list[Rejected] = []
    for item in line_format.reader(state).read(given_lines, True):
        if isinstance(item, Rejected):
            rejected.append(item)
        else:
            rows += item.data.to_pylist()
    return rows, rejected


def test_formats_are_found_by_name() -> None:
    assert set(FORMATS) == {"apache", "csv", "jsonl", "syslog"}
    assert all(isinstance(make(), LineFormat) for make in FORMATS.values())


APACHE_LINES = [
    (
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326',
        {"client": "127.0.0.1", "user": "frank", "path": "/apache_pb.gif", "status": 200, "bytes": 2326, "agent": None},
    ),
    (
        '::1 - - [01/Jan/2024:00:00:00 +0100] "POST /a b?c HTTP/1.1" 304 - "http://x/" "Mozilla/5.0 (X \\"q\\" y)"',
        {"client": "::1", "path": "/a b?c", "protocol": "HTTP/1.1", "bytes": None, "agent": 'Mozilla/5.0 (X "q" y)'},
    ),
    (
        '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\\x16\\x03\\x01" 400 0 "-" "-"',
        {"method": None, "path": "\\x16\\x03\\x01", "status": 400, "referrer": None, "agent": None},
    ),
    ('h - - [17/May/2015:10:05:03 +0000] "-" 408 -', {"method": None, "path": None, "status": 408}),
    ('h - - [17/May/2015:10:05:03 +0000] "GET /" 200 5', {"method": "GET", "path": "/", "protocol": None}),
    ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/2" 200 5 "-" "curl" "1.2.3.4" 0.003', {"agent": "curl"}),
]


@pytest.mark.parametrize(("line", "wanted"), APACHE_LINES)
def test_access_logs_are_read(line: str, wanted: dict[str, Any]) -> None:
    rows, rejected = read(APACHE, line)
    assert not rejected
    assert {name: rows[0][name] for name in wanted} == wanted


def test_times_of_access_logs_are_moments() -> None:
    rows, _ = read(APACHE, APACHE_LINES[0][0], APACHE_LINES[1][0])
    assert [row["time"] for row in rows] == [
        dt.datetime(2000, 10, 10, 20, 55, 36, tzinfo=dt.UTC),
        dt.datetime(2023, 12, 31, 23, 0, tzinfo=dt.UTC),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        '127.0.0.1 - - [10/Foo/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1',
        '127.0.0.1 - - [31/Feb/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1',
        '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0 200 1',
        '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 99999999999999999999',
        '127.0.0.1 - - [10/Oct/0000:13:55:36 -0700] "GET / HTTP/1.0" 200 1',
        '127.0.0.1 - - [01/Jan/0001:00:00:00 +9999] "GET / HTTP/1.0" 200 1',
    ],
)
def test_what_is_no_access_log_is_rejected_alone(line: str) -> None:
    rows, rejected = read(APACHE, APACHE_LINES[0][0], line, "", APACHE_LINES[1][0])
    assert len(rows) == 2
    assert [(item.payload, item.code) for item in rejected] == [(line.encode(), "bad-line")]
    assert rejected[0].reason


SYSLOG_LINES = [
    (
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed",
        {"priority": 34, "facility": "auth", "severity": "crit", "app": "su", "pid": None, "msgid": "ID47",
         "message": "'su root' failed", "structured": None,
         "time": dt.datetime(2003, 10, 11, 22, 14, 15, 3000, dt.UTC)},
    ),
    (
        '<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - [a@1 k="v \\" \\] x" k="w"][b] hi',
        {"pid": "8710", "structured": '{"a@1":{"k":["v \\" ] x","w"]},"b":{}}', "message": "hi",
         "time": dt.datetime(2003, 8, 24, 12, 14, 15, 3, dt.UTC)},
    ),
    ("<0>1 - - - - - -", {"time": None, "host": None, "app": None, "message": None, "facility": "kern"}),
    (
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0 rhost=218.188.2.4 ",
        {"host": "combo", "app": "sshd(pam_unix)", "pid": "19939", "priority": None,
         "time": dt.datetime(2005, 6, 14, 15, 16, 1, tzinfo=dt.UTC)},
    ),
    ("Jun 15 04:06:20 combo logrotate: ALERT exited abnormally with [1]", {"app": "logrotate", "pid": None}),
    ("Jun 15 04:06:20 combo last message repeated 2 times", {"app": None, "message": "last message repeated 2 times"}),
    ("<13>Feb  5 17:32:18 192.0.2.99 Use the BFG!", {"app": None, "host": "192.0.2.99", "message": "Use the BFG!"}),
    ("2024-01-31T10:00:00.5+01:00 web1 nginx[7]: up", {"app": "nginx", "message": "up", "pid": "7"}),
    ("Jun 30 23:59:60 combo ntpd[1]: leap", {"time": dt.datetime(2005, 6, 30, 23, 59, 59, tzinfo=dt.UTC)}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "wanted"), SYSLOG_LINES)
def test_syslog_is_read(line: str, wanted: dict[str, Any]) -> None:
    rows, rejected = read(SyslogLines(year=2005), line)
    assert not rejected
    assert {name: rows[0][name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no time here",
        "<192>1 2003-10-11T22:14:15Z h a - - - m",
        "<1>1 2003-13-11T22:14:15Z h a - - - m",
        "<1>1 2003-10-11T22:14:15Z h a - - [x m",
        "<1>1 2003-10-11T22:14:15Z h a - - [x]m",
        "Foo 14 15:16:01 h a: m",
        "Feb 30 15:16:01 h a: m",
        "Jun 14 25:16:01 h a: m",
    ],
)
def test_what_is_no_syslog_is_rejected_alone(line: str) -> None:
    rows, rejected = read(SyslogLines(year=2005), SYSLOG_LINES[3][0], line, SYSLOG_LINES[4][0])
    assert len(rows) == 2
    assert [item.payload for item in rejected] == ([line.encode()] if line else [])


def test_a_year_that_is_not_said_is_the_last_that_the_clock_allows() -> None:
    def year(line: str, now: dt.datetime) -> int:
        rows, _ = read(SyslogLines(clock=lambda: now), f"{line} 12:00:00 h a: m")
        return rows[0]["time"].year

    new_year = dt.datetime(2024, 1, 1, 0, 30, tzinfo=dt.UTC)
    assert year("Dec 31", new_year) == 2023
    assert year("Jan  1", new_year) == 2024
    assert year("Jan  2", new_year) == 2023
    # A clock that goes slow, at the end of a year.
    assert year("Jan  1", dt.datetime(2023, 12, 31, 23, 0, tzinfo=dt.UTC)) == 2024
    assert year("Feb 29", dt.datetime(2023, 6, 1, tzinfo=dt.UTC)) == 2020


def test_a_year_that_is_said_goes_on_from_december_to_january_also_after_a_restart() -> None:
    lines = ["Dec 30 00:00:00 h a: 1", "Jan  1 00:00:00 h a: 2", "Dec 31 23:59:59 h a: 3", "Jan  2 00:00:00 h a: 4"]
    rows, _ = read(SyslogLines(year=2005), *lines)
    assert [row["time"].year for row in rows] == [2005, 2006, 2005, 2006]
    reader = SyslogLines(year=2005).reader(None)
    assert len(list(reader.read([(line.encode(), 1) for line in lines[:2]], False))) == 1
    rows, _ = read(SyslogLines(year=2005), *lines[2:], state=reader.state)
    assert [row["time"].year for row in rows] == [2005, 2006]


def test_times_without_a_zone_are_of_the_zone_that_is_said() -> None:
    rows, _ = read(SyslogLines(year=2024, zone="Europe/Berlin"), "Jul  1 12:00:00 h a: m")
    assert rows[0]["time"] == dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)
    with pytest.raises(AppError) as error:
        SyslogLines(zone="Mars/Base")
    assert error.value.code == "source-option"


@pytest.mark.parametrize(
    "line_format", [APACHE, SyslogLines(year=2024), CsvLines(columns={"a": "int64"}, header=False)]
)
@settings(deadline=None, max_examples=200)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=60)))
def test_whatever_text_comes_is_a_row_or_a_reject(line_format: LineFormat, lines: list[str]) -> None:
    rows, rejected = read(line_format, *lines)
    blank = sum(not line.encode() or line.encode().isspace() for line in lines)
    assert len(rows) + len(rejected) + blank == len(lines)
    assert all(item.reason and item.code == "bad-line" for item in rejected)


def test_hostile_lines_take_no_more_time_than_their_length() -> None:
    # Were any expression to try all ways, these would not end.
    for line in ("[" * 200_000, '"' * 200_000, "\\" * 200_000, " a" * 100_000, "<1>1 - h a p m [x " + 'y="\\' * 50_000):
        for line_format in (APACHE, SyslogLines(year=2024), CsvLines(columns={"a": "string"}, header=False)):
            rows, rejected = read(line_format, line, 'h - - [17/May/2015:10:05:03 +0000] "' + line + '" 200 5')
            assert len(rows) + len(rejected) == 2


def test_json_lines_go_on_as_they_are_and_others_do_not() -> None:
    items = list(
        JsonLines().reader(None).read([(b' {"a": 1} ', 11), (b"", 12), (b"{", 14), (b'{"b": 2}', 23)], last=False)
    )
    assert [getattr(item, "code", None) or item.data.payload for item in items] == [
        b'{"a": 1}',
        "bad-line",
        b'{"b": 2}',
    ]
    assert [item.end for item in items] == [11, 14, 23]


# --- CSV


def test_columns_have_the_types_that_are_declared_and_the_others_are_text() -> None:
    columns = {"n": "int64", "at": pa.timestamp("us", "UTC"), "ok": "bool"}
    rows, rejected = read(CsvLines(columns=columns), "n,at,ok,name", "1,2024-01-31T10:00:00Z,true,NA", '2,,,""', "3,,,")
    assert not rejected
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert rows[0]["at"] == dt.datetime(2024, 1, 31, 10, tzinfo=dt.UTC)
    # An empty text is not NULL, and a text that others take for NULL is a text.
    assert [row["name"] for row in rows] == ["NA", "", None]


def test_bad_rows_are_rejected_alone_and_in_their_order() -> None:
    lines = ["n,name", "1,a", "x,b", "2,c,d", "3", '4,"e', '5,"f"g', '6,h"i"', "7,j", "8,k"]
    items = []
    for item in (
        CsvLines(columns={"n": "int64"}).reader(None).read([(line.encode(), n) for n, line in enumerate(lines)], True)
    ):
        if isinstance(item, Rejected):
            items.append(item.payload.decode())
        else:
            items += [f"{row['n']},{row['name']}" for row in item.data.to_pylist()]
    assert items == lines[1:]


def test_reasons_of_bad_rows_name_no_number_of_a_row_among_others() -> None:
    _, rejected = read(CsvLines(columns={"n": "int64"}), "n,name", "1,a", "x,b", "2,c,d")
    assert [item.reason for item in rejected] == [
        "In CSV column #0: CSV conversion error to int64: invalid value 'x'",
        "expected 2 columns, got 3",
    ]


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 10**9))
def test_good_rows_among_bad_ones_all_come(seed: int) -> None:
    draw = random.Random(seed)
    kinds = [draw.choice(["good", "good", "type", "count"]) for _ in range(draw.randrange(60))]
    made = {"good": "{},a", "type": "x{},a", "count": "{},a,b"}
    rows, rejected = read(
        CsvLines(columns={"n": "int64"}), "n,s", *(made[kind].format(n) for n, kind in enumerate(kinds))
    )
    assert [row["n"] for row in rows] == [n for n, kind in enumerate(kinds) if kind == "good"]
    assert len(rejected) == sum(kind != "good" for kind in kinds)


def test_values_may_have_line_breaks_if_that_is_said() -> None:
    rows, rejected = read(CsvLines(newlines=True), "a,b", '1,"x', 'y"', '2,"z ""q"""')
    assert not rejected
    assert rows == [{"a": "1", "b": "x\ny"}, {"a": "2", "b": 'z "q"'}]


def test_a_quote_that_is_never_closed_takes_no_good_rows_with_it() -> None:
    for row_bytes_max in (20, "1MB"):
        rows, rejected = read(
            CsvLines(newlines=True, row_bytes_max=row_bytes_max), "a,b", '1,"x', *(f"{n},y" for n in range(2, 20))
        )
        assert [row["a"] for row in rows] == [str(n) for n in range(2, 20)]
        assert [item.payload for item in rejected] == [b'1,"x']


@pytest.mark.parametrize("header", ["a,a", "a,,b", 'a,"b', "x,y"])
def test_a_bad_header_rejects_its_file_and_says_why(header: str) -> None:
    line_format = CsvLines(columns={"a": "int64"}) if header == "x,y" else CsvLines()
    rows, rejected = read(line_format, header, "1,2", "3,4")
    assert rows == []
    assert {item.code for item in rejected} <= {"csv-header", "bad-line"}
    assert len(rejected) == 3


def test_the_header_is_remembered_where_a_file_is_left() -> None:
    reader = CsvLines().reader(None)
    assert len(list(reader.read([(b"a,b", 4), (b"1,2", 8)], False))) == 1
    rows, _ = read(CsvLines(), "3,4", state=reader.state)
    assert rows == [{"a": "3", "b": "4"}]
    assert read(CsvLines(header=False, columns={"x": "int64"}), "7")[0] == [{"x": 7}]
    assert read(CsvLines(delimiter=";"), "a;b", "1,5;2")[0] == [{"a": "1,5", "b": "2"}]


@pytest.mark.parametrize(
    "arguments",
    [
        {"header": False},
        {"delimiter": ",,"},
        {"delimiter": '"'},
        {"columns": {"a": pa.list_(pa.int64())}},
        {"columns": pa.schema([("a", "int64"), ("a", "int64")])},
        {"row_bytes_max": "much"},
    ],
)
def test_options_that_fit_no_csv_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(AppError) as error:
        CsvLines(**arguments)
    assert error.value.code == "source-option"


def test_options_of_the_wrong_type_are_type_errors() -> None:
    for arguments in (
        {"columns": 7},
        {"columns": {"a": 7}},
        {"header": 1},
        {"delimiter": b","},
        {"row_bytes_max": 1.5},
    ):
        with pytest.raises(TypeError):
            CsvLines(**arguments)
    for arguments in ({"year": "2024"}, {"zone": 1}, {"clock": 1}):
        with pytest.raises(TypeError):
            SyslogLines(**arguments)


def test_a_stranger_adds_a_format_with_a_function() -> None:
    def parse(line: str) -> tuple[Any, ...]:
        level, _, text = line.partition(" ")
        if level not in ("INFO", "ERROR"):
            raise ValueError("it begins with no level")
        return level, text

    own = RowFormat(parse, lambda: pa.schema([("level", "string"), ("text", "string")]), topic="log.line")
    rows, rejected = read(own, "INFO up", "what", "ERROR down")
    assert [row["text"] for row in rows] == ["up", "down"]
    assert rejected[0].reason == "it begins with no level"
