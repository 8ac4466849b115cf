"""Whatever is appended, archived, put together, removed and reopened: a store reads as a list of events would."""

import fnmatch
import os
import random
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col

CASES = 10_000 if os.environ.get("CEPHEID_DEEP") else 150
TOPICS = ["a", "a.b", "a.c", "b"]
NAMES = ["p", "q", "r", "a longer name, which no other event has"]
# Each a condition, and what it means for one event; None is NULL.
CONDITIONS = [
    (None, lambda event: True),
    (col.n == 3, lambda event: event.get("n") == 3),
    (col.n > 4, lambda event: event.get("n") is not None and event["n"] > 4),
    ("n BETWEEN 2 AND 3", lambda event: event.get("n") in (2, 3)),
    (col.name == "q", lambda event: event.get("name") == "q"),
    ("name IN ('p', 'zzz') OR n = 1", lambda event: event.get("name") == "p" or event.get("n") == 1),
    (col.name.is_null(), lambda event: event.get("name") is None),
    (
        col.n.is_not_null() & (col.name != "p"),
        lambda event: event.get("n") is not None and event.get("name") not in ("p", None),
    ),
    (col.n + 1 == 3, lambda event: event.get("n") == 2),
    (col("_row") >= 2, lambda event: event["_row"] >= 2),
]
PATTERNS = [(), "a", "a.*", "a.>", "*", ">", ["a", "b"], ["a.b", "*"]]


@dataclass
class Model:
    """What a store should hold."""

    events: list[dict] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)

    def append(self, topic, rows, stream):
        first = len(self.events)
        for row in rows:
            number = self.rows.get(topic, 0)
            self.rows[topic] = number + 1
            version = None
            if stream is not None:
                version = self.versions[stream] = self.versions.get(stream, 0) + 1
            self.events.append({"_topic": topic, "_row": number, "_stream": stream, "_version": version} | row)
        known = self.columns.setdefault(topic, [])
        known += [name for name in rows[0] if name not in known]
        return first


def fits(patterns, topic):
    if not patterns:
        return True
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        parts, wanted = topic.split("."), pattern.split(".")
        if wanted[-1] == ">":
            if len(parts) >= len(wanted) and all(
                fnmatch.fnmatch(a, b) for a, b in zip(parts, wanted[:-1], strict=False)
            ):
                return True
        elif len(parts) == len(wanted) and all(b in ("*", a) for a, b in zip(parts, wanted, strict=True)):
            return True
    return False


def random_rows(chance, time, named):
    rows = []
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        row = {"ts": time + chance.randrange(-3, 4), "n": chance.choice([None, 1, 2, 3, 4, 5, 6])}
        if named:
            row["name"] = chance.choice([None, *NAMES])
        rows.append(row)
    return rows


def change(chance, store, model, time):
    """One change of both."""
    topic = chance.choice(TOPICS)
    what = chance.random()
    if what < 0.7:
        rows = random_rows(chance, time, named=topic != "b")
        stream = chance.choice([None, None, "s1", "s2"])
        expected = model.versions.get(stream, 0) if stream and chance.random() < 0.5 else None
        key = chance.choice([None, None, f"key-{chance.randrange(4)}"])
        types = {"ts": pa.int64(), "n": pa.int32(), "name": pa.string()}
        if chance.random() < 0.3:
            types["name"] = pa.dictionary(pa.int8(), pa.string())
        batch = pa.Table.from_pylist(rows, pa.schema([(name, types[name]) for name in rows[0]]))
        before = model.keys.get((topic, key)) if key else None
        if before is not None and before[1] == len(rows):
            found = store.append(topic, batch, stream=stream, idempotency_key=key)
            assert found.repeated
            assert found.first == before[0]
            return "repeat"
        if before is not None:
            with pytest.raises(cep.StoreError) as error:
                store.append(topic, batch, stream=stream, idempotency_key=key)
            assert error.value.code == "key-reused"
            return "refused"
        if expected is not None and chance.random() < 0.2:
            with pytest.raises(cep.VersionConflictError) as error:
                store.append(topic, batch, stream=stream, expected_version=expected + 1)
            assert error.value.actual == expected
            return "refused"
        found = store.append(topic, batch, stream=stream, expected_version=expected, idempotency_key=key)
        assert found.first == model.append(topic, rows, stream)
        assert found.version == (model.versions[stream] if stream else None)
        if key:
            model.keys[topic, key] = (found.first, len(rows))
        return "append"
    if what < 0.85:
        store.seal(chance.choice([(), topic, "a.*"]))
        return "seal"
    store.compact(chance.choice([(), topic]))
    return "compact"


def question(chance, store, model):
    """One question, and what the model answers."""
    patterns = chance.choice(PATTERNS)
    there = [topic for topic in model.columns if fits(patterns, topic)]
    condition, means = chance.choice(CONDITIONS)
    stream = chance.choice([None, None, None, "s1", "s2", "s9"])
    if not patterns and stream is not None:
        # Of a stream alone, the topics are those that it has events of.
        there = [t for t in there if any((e["_topic"], e["_stream"]) == (t, stream) for e in model.events)] or there
    end = len(model.events)
    positions = (chance.choice([None, chance.randrange(end + 1)]), chance.choice([None, chance.randrange(end + 2)]))
    times = (chance.choice([None, None, chance.randrange(40)]), chance.choice([None, None, chance.randrange(40)]))
    limit = chance.choice([None, None, 0, 1, 3])
    expected = [
        {"_position": position, **event}
        for position, event in enumerate(model.events)
        if event["_topic"] in there
        and (positions[0] is None or position >= positions[0])
        and (positions[1] is None or position < positions[1])
        and (times[0] is None or event["ts"] >= times[0])
        and (times[1] is None or event["ts"] < times[1])
        and (stream is None or event["_stream"] == stream)
        and means(event)
    ][:limit]
    try:
        asked = store.read(
            patterns,
            where=condition,
            since=times[0],
            until=times[1],
            from_=positions[0],
            to=positions[1],
            stream=stream,
            limit=limit,
            metadata=True,
        )
    except cep.CepheidError as error:
        # A topic that is named, or a column that is asked for, may not be there yet.
        assert error.code in ("unknown-in-store", "unknown-column"), error
        named = [patterns] if isinstance(patterns, str) else patterns
        assert error.code != "unknown-in-store" or any("*" not in name and ">" not in name for name in named)
        return None
    found = asked.to_arrow()
    columns = [name for topic in there for name in model.columns[topic]]
    assert set(found.column_names) == {"_position", "_topic", "_row", "_stream", "_version", "_recorded", *columns}
    rows = found.drop_columns("_recorded").to_pylist()
    wanted = [{name: event.get(name) for name in found.column_names if name != "_recorded"} for event in expected]
    assert rows == wanted, (patterns, condition, positions, times, stream, limit)
    return len(rows)


def test_a_store_reads_as_a_list_of_events_would(tmp_path):
    done: dict[str, int] = {}
    answers = refused = rows = 0
    for case in range(CASES):
        chance = random.Random(case)
        path = tmp_path / f"{case}.db"
        model = Model()
        store = cep.EventStore(path)
        try:
            for time in range(chance.randrange(3, 14)):
                what = change(chance, store, model, 3 * time)
                done[what] = done.get(what, 0) + 1
                if chance.random() < 0.1:
                    store.close()
                    store = cep.EventStore(path)
                    done["reopen"] = done.get("reopen", 0) + 1
            for _ in range(12):
                found = question(chance, store, model)
                answers += found is not None
                refused += found is None
                rows += found or 0
            assert store.end == len(model.events)
            assert store.streams() == model.versions
            verified = store.verify()
            assert verified, verified
            assert verified.events == len(model.events)
        finally:
            store.close()
        for file in (path, tmp_path / f"{case}.db-writer"):
            file.unlink()
    assert answers > 9 * CASES, (answers, refused)
    assert rows > 4 * CASES
    assert set(done) == {"append", "repeat", "refused", "seal", "compact", "reopen"}
    assert done["append"] > 3 * CASES
    assert done["compact"] > CASES / 2


def test_pages_and_segments_that_are_passed_over_have_nothing_that_was_asked_for(tmp_path):
    rows = 150_000
    chance = random.Random(7)
    table = pa.table(
        {
            "ts": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "key": [chance.randrange(50_000) for _ in range(rows)],
            "word": [f"w{chance.randrange(20_000)}" for _ in range(rows)],
            "step": [row // 10_000 for row in range(rows)],
        }
    )
    columns = table.to_pydict()
    asked = 0
    with cep.EventStore(tmp_path / "large.db") as store:
        # In three states: in the journal, in two segments with the rest in the journal, in one segment.
        store.append("t", table.slice(0, 70_000))
        for state in ("journal", "both", "archive"):
            if state == "both":
                store.seal()
                store.append("t", table.slice(70_000, 40_000))
                store.seal()
                store.append("t", table.slice(110_000))
            elif state == "archive":
                store.seal()
                store.compact()
                assert store.info().topics["t"].segments == 1
            there = store.end
            for _ in range(12):
                key, word = chance.choice(columns["key"]), chance.choice(columns["word"])
                for condition, means in (
                    (col.key == key, lambda row, key=key: columns["key"][row] == key),
                    (col.word == word, lambda row, word=word: columns["word"][row] == word),
                    (
                        (col.step == 3) & (col.key < 90),
                        lambda row: columns["step"][row] == 3 and columns["key"][row] < 90,
                    ),
                ):
                    found = store.read("t", where=condition, columns=["step"], metadata=True).to_arrow()
                    assert found["_position"].to_pylist() == [row for row in range(there) if means(row)]
                    assert found.column_names[-1] == "step"
                    asked += 1
            found = store.read("t").to_arrow()
            assert (
                found.equals(table.slice(0, there).combine_chunks())
                or found.to_pylist() == table.slice(0, there).to_pylist()
            )
    assert asked == 108
