"""Rules, rows, and groups that are given what a store has."""

from __future__ import annotations

import pyarrow as pa

from cepheid import col, event, ref
from cepheid.runtime.rule_history import store_history
from cepheid.store.rows import OWN_COLUMNS, read_runs


def spike(more=9):
    return event("a", col.v > more, topic="in").select(v=ref("a").v, k=ref("a").k).named("spike")


def pair(within="10ns"):
    two = event("one", topic="spike") >> event("two", topic="spike")
    return two.within(within).select(first=ref("one").v, second=ref("two").v).named("pair")


def rising(more=0, within="20ns"):
    two = event("a", topic="in") >> event("b", col.v > ref("a").v + more, topic="in")
    return two.within(within).matches("all").select(a=ref("a").v, b=ref("b").v).named("rising")


def rows(*of):
    return [{"ts": ts, "k": k, "v": v} for ts, k, v in of]


def table(*of):
    return pa.Table.from_pylist(rows(*of))


def shown(outputs):
    found = {}
    for topic, matches in outputs:
        made = [{**row, "match_number": None} for row in matches.to_arrow().to_pylist()]
        found.setdefault(topic, []).extend(made)
    return found


def values(outputs, topic, *names):
    return [tuple(row[name] for name in names) for row in shown(outputs).get(topic, [])]


class Fed:
    """A group that is given what a store has, and what it has derived."""

    def __init__(self, store, group):
        self.store, self.group, self.position, self.outputs = store, group, 0, []

    def append(self, *of, topic="in"):
        self.store.append(topic, rows(*of))
        return self.catch_up()

    def catch_up(self):
        found = []
        for topic, run in read_runs(self.store, (">",), from_=self.position).runs:
            found += self.group.push(run.drop_columns(list(OWN_COLUMNS)), topic, run["_row"][0].as_py())
        self.position = self.store.end
        self.outputs += found
        return found

    @property
    def history(self):
        return store_history(self.store, self.position)
