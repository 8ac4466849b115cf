"""Enrichment from tables, files and lookups, against the joins that SQL would write."""

from __future__ import annotations

import random
import time

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid import col, event


def rows(seed: int, count: int = 200) -> pa.Table:
    draw = random.Random(seed)
    return pa.table({
        "ts": sorted(draw.randrange(1_000) for _ in range(count)),
        "k": pa.array([draw.choice([1, 2, 3, 4, None]) for _ in range(count)], pa.int64()),
        "s": pa.array([draw.choice(["x", "y", "z", None]) for _ in range(count)]),
        "place": range(count),
    })  # fmt: skip


REFERENCE = pa.table(
    {"k": [1, 1, 2, 4, None], "s": ["x", "y", "x", None, "z"], "v": [10, 20, None, 40, 50], "w": range(5)}
)


def enriched(rule: cep.Processor, data: pa.Table, cut: int) -> pa.Table:
    engine = cep.Engine(rule)
    found = [engine.push(data.slice(start, cut), "rows") for start in range(0, data.num_rows, cut)]
    return pa.concat_tables([one[rule.emits or rule.name].to_arrow() for one in found if one])


@pytest.mark.parametrize("cut", [1, 7, 200])
@pytest.mark.parametrize("how", ["left", "inner"])
def test_rows_meet_those_that_a_join_in_sql_finds(how: str, cut: int):
    data, reference = rows(3), REFERENCE  # noqa: F841 (DuckDB finds them by name)
    expected = duckdb.sql(f"""
        SELECT place, v, w FROM data {how} JOIN reference ON data.k = reference.k AND data.s = reference.s
        ORDER BY place
    """).fetchall()
    assert len(expected) == 200 or 10 < len(expected) < 190
    found = enriched(cep.enrich("rows", REFERENCE, on=["k", "s"], how=how, emits="more"), data, cut)
    assert found.column_names == ["ts", "k", "s", "place", "v", "w"]
    assert [tuple(row.values()) for row in found.select(["place", "v", "w"]).to_pylist()] == expected


@pytest.mark.parametrize("seed", range(5))
def test_rows_meet_what_held_at_their_time(seed: int):
    data = rows(seed)
    draw = random.Random(seed + 100)
    times = draw.sample(range(-50, 1_000), 40)
    rates = pa.table({"k": [draw.choice([1, 2, 3]) for _ in times], "from": times, "rate": range(40)})
    rates = rates.take(pa.array(draw.sample(range(40), 40)))
    expected = duckdb.sql("""
        SELECT place, rate FROM data ASOF LEFT JOIN rates ON data.k = rates.k AND data.ts >= rates."from" ORDER BY place
    """).fetchall()
    rule = cep.enrich("rows", rates, on="k", since="from")
    found = enriched(rule, data, 13).select(["place", "rate"]).to_pylist()
    assert [tuple(row.values()) for row in found] == expected
    assert sum(rate is not None for _, rate in expected) > 50


def test_times_of_all_types_are_compared():
    stamps = pa.array([0, 86_400_000, 86_400_001], pa.timestamp("ms", "UTC"))
    data = pa.table({"ts": stamps, "k": [1, 1, 1]})
    held = pa.table({"k": [1, 1], "day": pa.array([-1, 1], pa.date32()), "v": ["old", "new"]})
    found = enriched(cep.enrich("rows", held, on="k", since="day", name="p"), data, 3)
    assert found["v"].to_pylist() == ["old", "new", "new"]


def test_a_reference_may_be_a_file_and_keys_of_other_types(tmp_path):
    path = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"k": pa.array([1, 300], pa.int16()), "s": ["x", "y"], "v": [1.5, 2.5]}), path)
    data = pa.table({"ts": [1, 2, 3], "k": pa.array([1, 44, None], pa.int64())})
    for reference in (path, str(path)):
        rule = cep.enrich("rows", reference, on="k", columns=["v"])
        assert enriched(rule, data, 2).to_pydict() == {"ts": [1, 2, 3], "k": [1, 44, None], "v": [1.5, None, None]}
    small = pa.table({"ts": [1, 2], "s": pa.array(["y", "q"]).dictionary_encode()})
    assert enriched(cep.enrich("rows", path, on="s", columns=["v"]), small, 2)["v"].to_pylist() == [2.5, None]


def test_rules_read_enriched_rows():
    cards = {"card": [1, 2], "country": ["NZ", "CL"]}
    abroad = event("abroad", col.country != "NZ", topic="known").partition_by("card").select(at="abroad.country")
    rules = [abroad.named("abroad"), cep.enrich("txn", cards, on="card", emits="known")]
    engine = cep.Engine(rules)
    engine.push([{"ts": 1, "card": 1}, {"ts": 2, "card": 3}, {"ts": 3, "card": 2}], "txn")
    engine = cep.Engine.restore(engine.snapshot(), rules)
    assert engine.flush()["abroad"].to_arrow().select(["card", "at"]).to_pylist() == [{"card": 2, "at": "CL"}]


class Asked:
    """A lookup in a table that remembers what it was asked."""

    def __init__(self, reference: pa.Table) -> None:
        self.reference, self.keys = reference, []

    def __call__(self, keys: pa.Table) -> pa.Table:
        self.keys.append(sorted(keys["k"].to_pylist()))
        return self.reference.filter(pa.compute.is_in(self.reference["k"], keys["k"].combine_chunks()))


def test_what_a_lookup_has_said_is_remembered():
    lookup = Asked(pa.table({"k": [1, 2, 3], "v": ["a", "b", "c"]}))
    rule = cep.enrich("rows", lookup, on="k")
    data = pa.table({"ts": range(7), "k": pa.array([None, 1, 1, 9, 2, 9, 1], pa.int64())})
    found = enriched(rule, data, 2)
    assert found["v"].to_pylist() == [None, "a", "a", None, "b", None, "a"]
    assert lookup.keys == [[1], [9], [2]]
    assert rule.function.stats == cep.LookupStats(hits=3, misses=3, kept=3)


def test_a_lookup_without_a_key_says_what_columns_there_are():
    lookup = Asked(pa.table({"k": [1], "v": ["a"]}))
    data = pa.table({"ts": [1], "k": pa.array([None], pa.int64())})
    assert enriched(cep.enrich("rows", lookup, on="k"), data, 1).to_pydict() == {"ts": [1], "k": [None], "v": [None]}


def test_keys_are_forgotten_when_they_are_too_many_or_too_old():
    lookup = Asked(pa.table({"k": [1, 2, 3], "v": ["a", "b", "c"]}))
    few = cep.enrich("rows", lookup, on="k", keys_kept=2)
    data = pa.table({"ts": range(6), "k": [1, 2, 1, 3, 1, 2]})
    assert enriched(few, data, 1)["v"].to_pylist() == ["a", "b", "a", "c", "a", "b"]
    assert lookup.keys == [[1], [2], [3], [2]], "2 was asked for longest ago when 3 came"
    assert few.function.stats.kept == 2
    lookup.keys.clear()
    brief = cep.enrich("rows", lookup, on="k", ttl=0.02)
    engine = cep.Engine(brief)
    for moment in range(2):
        engine.push([{"ts": moment, "k": 1}], "rows")
        time.sleep(0.03)
    assert lookup.keys == [[1], [1]]


def test_more_keys_at_once_than_are_kept_are_answered_all_the_same():
    lookup = Asked(pa.table({"k": range(100), "v": range(100)}))
    data = pa.table({"ts": range(100), "k": range(100)})
    assert enriched(cep.enrich("rows", lookup, on="k", keys_kept=3), data, 50)["v"].to_pylist() == list(range(100))


def test_keys_are_looked_up_in_sqlite_through_adbc(tmp_path):
    adbc = pytest.importorskip("adbc_driver_sqlite.dbapi", reason="the ADBC driver of SQLite is not installed")
    connection = adbc.connect(str(tmp_path / "cards.db"))
    try:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("cards", pa.table({"k": [1, 2], "country": ["NZ", "CL"]}))
        connection.commit()

        def look(keys: pa.Table) -> pa.Table:
            with connection.cursor() as cursor:
                asked = ", ".join(str(int(key)) for key in keys["k"].to_pylist())
                cursor.execute(f"SELECT k, country FROM cards WHERE k IN ({asked})")
                return cursor.fetch_arrow_table()

        data = pa.table({"ts": [1, 2, 3], "k": [2, 7, 1]})
        assert enriched(cep.enrich("rows", look, on="k"), data, 3)["country"].to_pylist() == ["CL", None, "NZ"]
    finally:
        connection.close()


def test_what_cannot_be_met_is_refused_where_it_is_known():
    two = {"k": [1, 1], "v": [1, 2]}
    for build, kind, code in (
        (lambda: cep.enrich("rows", two, on="k"), cep.SchemaError, "duplicate-key"),
        (lambda: cep.enrich("rows", {"v": [1]}, on="k"), cep.SchemaError, "unknown-column"),
        (lambda: cep.enrich("rows", {"k": [1], "f": [None]}, on="k", since="f"), cep.SchemaError, "null-time"),
        (lambda: cep.enrich("rows", {"k": [1], "f": [0.5]}, on="k", since="f"), cep.SchemaError, "column-type"),
        (lambda: cep.enrich("rows", {"k": [1], "v": [1]}, on="k", ttl=5), cep.PatternError, "invalid-clause"),
        (lambda: cep.enrich("rows", ANCIENT, on="k", since="f"), cep.SchemaError, "column-type"),
        (lambda: cep.enrich("rows", {"k": [[1]]}, on="k"), cep.SchemaError, "column-type"),
        (lambda: cep.enrich("rows", {"k": [1]}, on="k", columns=["v"]), cep.SchemaError, "unknown-column"),
        (lambda: cep.enrich("rows", {"k": [1]}, on="k", how="outer"), cep.PatternError, "invalid-clause"),
        (lambda: cep.enrich("rows", {"k": [1]}, on=[]), cep.PatternError, "invalid-clause"),
        (lambda: cep.enrich("rows", Asked(REFERENCE), on="k", since="from"), cep.PatternError, "invalid-clause"),
        (lambda: cep.enrich("rows", Asked(REFERENCE), on="k", ttl=0), cep.PatternError, "invalid-clause"),
        (lambda: cep.enrich("", {"k": [1]}, on="k"), cep.PatternError, "empty-name"),
        (lambda: cep.enrich("rows", 5, on="k"), cep.SchemaError, "unsupported-input"),
    ):
        with pytest.raises(kind) as caught:
            build()
        assert caught.value.code == code
    with pytest.raises(TypeError):
        cep.enrich("rows", {"k": [1]}, on=5)
    data = pa.table({"ts": [1], "k": [1], "v": [2]})
    for rule, code in (
        (cep.enrich("rows", {"k": [1], "v": [1]}, on="k"), "ambiguous-column"),
        (cep.enrich("rows", {"m": [1]}, on="m"), "unknown-column"),
        (cep.enrich("rows", {"k": [b"a"], "w": [1]}, on="k"), "column-type"),
    ):
        with pytest.raises(cep.ProcessorError) as caught:
            cep.Engine(rule).push(data, "rows")
        assert caught.value.__cause__.code == code


ANCIENT = pa.table({"k": [1], "f": pa.array([-62_135_596_800], pa.timestamp("s"))})


def test_keys_of_many_columns_are_told_apart_however_many_values_they_have():
    names = ["a", "b", "c", "d", "e"]
    values = range(65_536)
    reference = pa.table({**dict.fromkeys(names, values), "v": values})
    data = pa.table({"ts": [1, 2], "a": [5, 9], "b": [7, 9], "c": [7, 9], "d": [7, 9], "e": [7, 9]})
    assert enriched(cep.enrich("rows", reference, on=names), data, 2)["v"].to_pylist() == [None, 9]


def test_tables_of_polars_are_met():
    reference = pl.DataFrame({"s": ["x", "y"], "v": ["one", "two"]})
    engine = cep.Engine(cep.enrich("rows", reference, on="s", name="p"))
    found = engine.push(pl.DataFrame({"ts": [1, 2], "s": ["y", "q"]}), "rows")
    assert found["p"].to_arrow()["v"].to_pylist() == ["two", None]
    engine = cep.Engine(cep.enrich("rows", lambda keys: reference, on="s", name="p", how="inner"))
    found = engine.push(pl.DataFrame({"ts": [1, 2], "s": ["y", "q"]}), "rows")
    assert found["p"].to_arrow()["v"].to_pylist() == ["two"]


def test_nan_is_one_key_and_null_none():
    nan = float("nan")
    data = pa.table({"ts": [1, 2, 3], "k": [nan, None, 1.0]})
    table = pa.table({"k": [nan, None, None], "v": [1, 2, 3]})
    assert enriched(cep.enrich("rows", table, on="k"), data, 1)["v"].to_pylist() == [1, None, None]
    rule = cep.enrich("rows", lambda keys: table, on="k")
    assert enriched(rule, data, 1)["v"].to_pylist() == [1, None, None]
    assert enriched(rule, data, 1)["v"].to_pylist() == [1, None, None]
    assert rule.function.stats.misses == 2


def test_kinds_of_keys_are_not_mixed_up():
    for own, other in ((["1"], [1]), ([True], [1]), ([1], [1.0]), ([b"1"], ["1"])):
        data, reference = pa.table({"ts": [1], "k": own}), pa.table({"k": other, "v": [1]})
        for given in (reference, lambda keys, reference=reference: reference):
            with pytest.raises(cep.ProcessorError) as caught:
                cep.Engine(cep.enrich("rows", given, on="k")).push(data, "rows")
            assert caught.value.__cause__.code == "column-type"


def test_a_lookup_says_what_types_its_columns_have_and_keeps_them():
    known = {1: "a", 3: None}

    def look(keys):
        there = [key for key in keys["k"].to_pylist() if key in known]
        return {"k": pa.array(there, pa.int64()), "v": [known[key] for key in there]}

    engine = cep.Engine(cep.enrich("rows", look, on="k", name="p"))
    with pytest.raises(cep.ProcessorError, match="`v` without a type"):
        engine.push(pa.table({"ts": [1], "k": [2]}), "rows")
    assert engine.push(pa.table({"ts": [1], "k": [1]}), "rows")["p"].to_arrow()["v"].to_pylist() == ["a"]
    # Once it is known, a column without a value is one of that type.
    found = engine.push(pa.table({"ts": [2, 3, 4], "k": [3, 2, 1]}), "rows")
    assert found["p"].to_arrow()["v"].to_pylist() == [None, None, "a"]
    known[4] = {"nested": 1}
    with pytest.raises(cep.ProcessorError) as caught:
        engine.push(pa.table({"ts": [5], "k": [4]}), "rows")
    assert caught.value.__cause__.code == "column-type"


def test_zero_is_one_key_whatever_its_sign():
    reference = {"k": [0.0, 1.0], "v": ["zero", "one"]}
    engine = cep.Engine(
        [cep.enrich("t", reference, on="k", emits="o"), cep.event("a", topic="o").select(v="a.v").named("r")]
    )
    derived = [engine.push([{"ts": 1, "k": -0.0}, {"ts": 2, "k": 0.0}, {"ts": 3, "k": 1.0}], "t"), engine.flush()]
    assert [v for told in derived for v in told["r"].to_arrow()["v"].to_pylist()] == ["zero", "zero", "one"]
    with pytest.raises(cep.SchemaError) as caught:
        cep.enrich("t", {"k": [0.0, -0.0], "v": [1, 2]}, on="k")
    assert caught.value.code == "duplicate-key"
