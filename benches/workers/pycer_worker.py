"""The process in which CORE runs: nothing but the standard library and `pycer` is at hand.

Reads the setting and the rows from the file that is named, then a word a line: "ready", "arm", "run", "answer"; says
one line of JSON for each.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pycer


def main() -> None:
    setting: dict[str, Any] = pickle.loads(Path(sys.argv[1]).read_bytes())
    columns = setting["columns"]
    number = pycer.PyIntValue
    if "type" in columns:
        rows = zip(columns["n"], columns["type"], strict=True)
        events = [pycer.PyEvent(kind, [number(n), number(n)], number(n)) for n, kind in rows]
    else:
        values = {name: pycer.PyStringValue(name) for name in set(columns["symbol"])}
        named = zip(columns["n"], columns["symbol"], strict=True)
        events = [pycer.PyEvent(0, [number(n), values[name], number(n)], number(n)) for n, name in named]
    server: Any = None
    output = ""
    for word in map(str.strip, sys.stdin):
        if word == "ready":
            say("ready")
        elif word == "arm":
            server = pycer.PyOfflineServer()
            server.declare_stream(setting["stream"])
            server.declare_option("CREATE QUARANTINE { DIRECT {S} }")
            server.add_query(setting["query"])
            say("armed")
        elif word == "run":
            server.send_events(events)
            output = server.get_output()
            say("done")
        elif word == "answer":
            say(added_up(output))


def added_up(output: str) -> tuple[int, list[int]]:
    """How many matches, and for each of their events the sum of its first attribute."""
    lines = output.splitlines()
    sums: list[int] = []
    for line in lines:
        for index, n in enumerate(re.findall(r"attributes: \[(\d+)", line)):
            if index == len(sums):
                sums.append(0)
            sums[index] += int(n)
    return len(lines), sums or [0, 0, 0]


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
