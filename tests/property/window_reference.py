"""Windows by their definition, read aloud: which rows share one, and in what order windows come out."""

from __future__ import annotations

from typing import Any, NamedTuple

Row = dict[str, Any]


class Reported(NamedTuple):
    """A window: of which key, from when to when, and its rows, in order."""

    key: Any
    start: int
    end: int
    rows: list[Row]


def reference_windows(rows: list[Row], frame: dict[str, Any], by: str | None) -> list[Reported]:
    """The windows of rows, which have event times in `ts`; of a range, `start` is the time of the row at hand."""
    rows = sorted(rows, key=lambda row: row["ts"])  # stable: rows of equal times stay in order of arrival
    places = {id(row): place for place, row in enumerate(rows)}
    keyed: dict[Any, list[Row]] = {}
    for row in rows:
        keyed.setdefault(None if by is None else row[by], []).append(row)
    ((kind, body),) = frame.items()
    if kind == "range":
        back = body["preceding_ns"]
        return [
            Reported(key, row["ts"], row["ts"], [r for r in keyed[key] if row["ts"] - back <= r["ts"] <= row["ts"]])
            for row in rows
            for key in [None if by is None else row[by]]
        ]
    found: list[tuple[Any, Reported]] = []
    for key, own in keyed.items():
        for number, (start, end, inside) in enumerate(_windows_of_key(kind, body, own)):
            first, last = places[id(inside[0])], places[id(inside[-1])]
            if kind == "rows":
                full = len(inside) == body["rows"]
                order: Any = (0, last, first) if full else (1, first, number)
            else:
                order = (end, first)
            found.append((order, Reported(key, start, end, inside)))
    return [window for _, window in sorted(found, key=lambda pair: pair[0])]


def _windows_of_key(kind: str, body: dict[str, Any], rows: list[Row]) -> list[tuple[int, int, list[Row]]]:
    if kind == "rows":
        chunks = [rows[at : at + body["rows"]] for at in range(0, len(rows), body["every"])]
        return [(chunk[0]["ts"], chunk[-1]["ts"], chunk) for chunk in chunks]
    if kind == "session":
        sessions: list[list[Row]] = []
        for row in rows:
            if sessions and row["ts"] - sessions[-1][-1]["ts"] < body["gap_ns"]:
                sessions[-1].append(row)
            else:
                sessions.append([row])
        return [(session[0]["ts"], session[-1]["ts"] + body["gap_ns"], session) for session in sessions]
    size, every, offset = body["size_ns"], body["every_ns"], body.get("offset_ns", 0)
    first, last = rows[0]["ts"], rows[-1]["ts"]
    windows = []
    for number in range((first - size - offset) // every, (last - offset) // every + 1):
        start = offset + number * every
        if inside := [row for row in rows if start <= row["ts"] < start + size]:
            windows.append((start, start + size, inside))
    return windows
