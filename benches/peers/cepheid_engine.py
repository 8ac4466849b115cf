"""cepheid itself, asked in two ways: the SQL text with every call, or a pattern that was built before."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

import cepheid as cep
from benches.peers.peer import Peer
from benches.workload import Answer, Workload


class CepheidSql(Peer):
    """Parses, plans and matches in every call."""

    name = "cepheid, SQL"
    version = cep.__version__

    def cannot_run(self, workload: Workload) -> str | None:
        return "no text for windows that reach back from every row" if workload.shape == "range" else None

    def prepare(self, workload: Workload, table: pa.Table) -> pa.Table:
        return table

    def run(self, workload: Workload, armed: pa.Table) -> Any:
        if workload.rules is not None:
            return streamed(cep.Engine(rules_of(workload)), armed)
        if workload.output == "count":
            return counted(workload, armed)
        return cep.sql(workload.sql, t=armed).to_arrow()

    def answer(self, workload: Workload, result: Any) -> Answer:
        return super().answer(workload, together(result) if workload.rules is not None else result)


class CepheidBuilt(Peer):
    """Asks a pattern or a window that was built outside the clock; several patterns, with an engine that was."""

    name = "cepheid, built"
    version = cep.__version__

    def prepare(self, workload: Workload, table: pa.Table) -> tuple[Any, pa.Table]:
        if workload.rules is not None:
            return rules_of(workload), table
        if not workload.is_pattern:
            return window_of(workload), table
        return cep.pattern_from_sql(workload.sql), table

    def arm(self, workload: Workload, prepared: tuple[Any, pa.Table]) -> tuple[Any, pa.Table]:
        built, table = prepared
        return (cep.Engine(built) if workload.rules is not None else built), table

    def run(self, workload: Workload, armed: tuple[Any, pa.Table]) -> Any:
        built, table = armed
        if workload.rules is not None:
            return streamed(built, table)
        if not workload.is_pattern:
            return cep.aggregate(built, table).to_arrow()
        return built.count(table) if workload.output == "count" else cep.match(built, table).to_arrow()

    def answer(self, workload: Workload, result: Any) -> Answer:
        return super().answer(workload, together(result) if workload.rules is not None else result)


def counted(workload: Workload, table: pa.Table) -> int | float:
    """How many matches there are: by AGGREGATE, in versions that have it, a float where a whole number is too long."""
    if not hasattr(cep.Pattern, "aggregate"):
        return cep.pattern_from_sql(workload.sql).count(table)
    asked = re.sub(r"(?m)^ *MEASURES .*$", "AGGREGATE COUNT(*) AS matches", workload.sql)
    rows = cep.sql(asked, t=table).to_arrow().to_pylist()
    if not rows:
        return 0
    [row] = rows
    return float(row["matches_approx"]) if row["matches"] is None else int(row["matches"])


def window_of(workload: Workload) -> cep.Window:
    """The window of a text; of windows that reach back from every row, as Python says it."""
    if workload.shape != "range":
        return cep.window_from_sql(workload.sql)
    value = cep.col.value
    asked = cep.window(total=value.sum(), mean=value.avg(), least=value.min(), most=value.max(), by="key")
    return asked.sliding(f"{workload.parameter('size')}s")


def rules_of(workload: Workload) -> dict[str, cep.Pattern]:
    """The patterns of a template, `{rule}` standing for their numbers."""
    assert workload.rules is not None
    texts = (workload.sql.replace("{rule}", str(rule)) for rule in range(workload.rules))
    return {f"rule{number}": cep.pattern_from_sql(text) for number, text in enumerate(texts)}


def streamed(engine: cep.Engine, table: pa.Table) -> list[pa.Table]:
    """All that an engine derives from a table that is pushed at once."""
    pushed = [matches.to_arrow() for matches in engine.push(table).values()]
    return pushed + [matches.to_arrow() for matches in engine.flush().values()]


def together(tables: list[pa.Table]) -> pa.Table:
    """What several rules derived."""
    return pa.concat_tables(tables) if tables else pa.table({"first_row": pa.array([], pa.int64()), "last_row": []})
