"""What is replayed from a store is what was derived when it came: matches, their rows, their ids, and late rows."""

import os
import random

from derived_calls import shown

import cepheid as cep
from cepheid import absent, col, event
from cepheid.store import replay

CASES = 3_000 if os.environ.get("CEPHEID_DEEP") else 120


def rules(chance):
    """Some rules, most of which care for few rows."""
    rare = col.kind == "rare"
    found = [
        (event("a", rare, topic="t") >> event("b", col.n > 7, topic="t")).within("20ns").named("pair"),
        (event("a", rare, topic="t") >> absent(event("b", col.kind == "odd", topic="t"), for_="9ns")).named("missing"),
        (event("a", rare, topic="t") >> event("b", rare, topic="u")).partition_by("n").within("50ns").named("both"),
        event("a", rare).select(k="a.kind").named("any"),
        (event("a", rare, topic="t").next(event("b", topic="t"))).within("30ns").named("strict"),
        cep.window(n=cep.count(), topic="t").tumbling("10ns").where(rare).named("windows"),
        cep.window(n=col.n.sum(), topic="u", by="kind").hopping("20ns", every="10ns").named("hops"),
        (event("a", rare, topic="t") >> event("b", col.n > cep.ref("a").n, topic="t")).within("30ns").named("more"),
        event("x", topic="pair").named("chained"),
    ]
    picked = chance.sample(found[:-1], chance.randrange(1, 4))
    if any(rule.name == "pair" for rule in picked) and chance.random() < 0.5:
        picked.append(found[-1])
    return picked


def batches(chance):
    """Batches of two topics, mostly in order and of no interest."""
    time = 0
    made = []
    for _ in range(chance.randrange(4, 25)):
        rows = []
        for _ in range(chance.choice([1, 2, 5, 9])):
            time += chance.choice([0, 1, 1, 3])
            late = chance.choice([0] * 30 + [4, 40])
            kind = chance.choice(["dull"] * 9 + ["odd", "rare"]) if chance.random() < 0.5 else "dull"
            rows.append({"ts": max(0, time - late), "kind": kind, "n": chance.randrange(10)})
        made.append((chance.choice(["t", "t", "u"]), rows))
    return made


def test_a_replay_derives_what_was_derived_when_the_events_came(monkeypatch):
    push_on = replay._Pushing.push_on
    counted = {"passed": 0, "pushed": 0}

    def counting(self, reader, **how):
        pushed = push_on(self, reader, **how)
        counted["passed"] += pushed["rows"][1]
        counted["pushed"] += pushed["refused"] is not None
        return pushed

    monkeypatch.setattr(replay._Pushing, "push_on", counting)
    derived = late = 0
    for case in range(CASES):
        chance = random.Random(case)
        picked = rules(chance)
        options = {
            "lateness": chance.choice(["0ns", "3ns", "30ns", None]),
            "ids": True,
            "future": None,
            "topics": ["t", "u"],
        }
        live, again = cep.Engine(picked, **options), cep.Engine(picked, **options)
        calls = []
        with cep.EventStore() as store:
            for topic, rows in batches(chance):
                store.append(topic, rows)
                if any(rule.name == "any" for rule in picked) or topic in live._native.reads():
                    calls.append(live.push(rows, topic))
                if chance.random() < 0.2:
                    store.seal()
                if chance.random() < 0.1:
                    store.compact()
            calls.append(live.flush())
            expected = shown(calls)
            there = [topic for topic in ("t", "u") if topic in store.info().topics]
            topics = there if any(rule.name == "any" for rule in picked) else None
            try:
                found = shown([store.replay(again, topics, flush=True)])
            except cep.StoreError as error:
                assert error.code == "unknown-in-store"
                assert not expected
                continue
        assert found == expected, case
        assert again.stats().late == live.stats().late
        assert again.stats().rows == live.stats().rows
        derived += sum(len(events) for events, _ in expected.values())
        late += live.stats().late
    assert derived > 5 * CASES, derived
    assert late > CASES / 10, late
    # Seen to be passed over, and to be pushed where passing over would have lost a late row.
    assert counted["passed"] > 2 * CASES, counted
    assert counted["pushed"] > 0, counted


def long_batches(chance):
    """Long batches of two topics: mostly in order, with few rows of interest, some of them next to each other."""
    import numpy as np
    import pyarrow as pa

    random_of = np.random.default_rng(chance.randrange(1 << 32))
    time = 0
    made = []
    for _ in range(chance.randrange(1, 8)):
        length = chance.choice([1, 70, 400, 3000, 9000, 9000])
        times = time + np.cumsum(random_of.integers(0, 3, length))
        time = int(times[-1])
        if chance.random() < 0.2:
            times = np.maximum(0, times - random_of.choice([0, 0, 0, 5, 50], length))
        kinds = np.where(random_of.random(length) < 0.2, "odd", "dull").astype(object)
        rare = random_of.random(length) < chance.choice([0, 1e-3, 1e-3, 1e-2, 0.3])
        if chance.random() < 0.3:
            # Next to each other, and at the borders of a page.
            first = chance.randrange(length)
            rare[first : first + 4] = True
            rare[[0, -1]] = True
        kinds[rare] = "rare"
        rows = {
            "ts": pa.array(times, pa.int64()),
            "kind": pa.array(kinds.tolist(), pa.string()),
            "n": pa.array(random_of.integers(0, 10, length), mask=random_of.random(length) < 0.05),
            "who": pa.array([f"w{number}" for number in random_of.integers(0, 3, length)]),
        }
        made.append((chance.choice(["t", "t", "t", "u"]), pa.table(rows)))
    return made


def rules_of_few_rows(chance):
    """Some rules that care for few rows of their topics."""
    rare = col.kind == "rare"
    found = [
        (event("a", rare, topic="t") >> event("b", rare & (col.n > 7), topic="t")).within("200ns").named("pair"),
        (event("a", rare, topic="t") >> absent(event("b", rare, topic="u"), for_="90ns")).named("missing"),
        (event("a", rare, topic="t") >> event("b", rare, topic="u")).partition_by("n").within("500ns").named("both"),
        event("c", col.n + 1 > 99, topic="t").named("never"),
        event("c", (col.n * 2 == 18) & (col.kind != "dull") & (col.kind != "odd"), topic="t").named("worked_out"),
        event("c", rare & (col.who == "w1"), topic="t").select(n="c.n", who="c.who").named("secret"),
        event("c", col.n.is_null() & rare, topic="u").named("unknown"),
        cep.window(n=cep.count(), topic="t").tumbling("100ns").where(rare).named("windows"),
    ]
    return chance.sample(found, chance.randrange(1, 4))


def rules_that_raise():
    """Rules for few rows, each with a condition that raises an error of some values."""
    rare, share = col.kind == "rare", col.n / col.d > 2
    return [
        event("c", share & rare, topic="t").named("first"),
        event("c", rare & share, topic="t").named("last"),
        event("c", (col.n == 77) | (rare & (col.n % col.d == 1)), topic="t").named("either"),
        event("c", (col.n + col.big > 0) & rare & (col.who == "w1"), topic="t").named("overflow"),
        event("c", rare & (col.text.cast("BIGINT") == 7), topic="t").named("text"),
        event("c", (col.text.cast("BIGINT") == 7) & (col.n == 77), topic="t").named("behind"),
        event("c", cep.coalesce(col.n, 10 / col.d) == 77, topic="t").named("choice"),
        # Asked only of rows for which a run waits.
        (event("a", rare, topic="t") >> event("b", share & (col.kind == "odd"), topic="t"))
        .within("40ns")
        .named("late"),
        cep.window(n=cep.count(), topic="t").tumbling("100ns").where(share & rare).named("shares"),
    ]


def with_bad_values(chance, rows):
    """Rows, few of which have values that a condition cannot take."""
    import pyarrow as pa

    length = rows.num_rows
    columns = {"d": [1] * length, "big": [0] * length, "text": ["7"] * length}
    if chance.random() < 0.5:
        for bad in [chance.randrange(length) for _ in range(chance.choice([1, 1, 40]))]:
            columns["d"][bad], columns["big"][bad], columns["text"][bad] = 0, 2**63 - 1, "seven"
    if chance.random() < 0.3:
        kinds = rows["kind"].to_pylist()
        kinds[chance.randrange(length)] = None
        columns["kind"] = kinds
        rows = rows.drop_columns("kind")
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values, pa.string() if name in ("text", "kind") else pa.int64()))
    return rows


def in_steps(engine, store, **bounds):
    """What a replay derives of which every row is pushed, with all of its columns, call by call."""
    for step in store.step(engine, events=5_000, **bounds):
        yield step.derived
    yield engine.flush()


def in_steps_to(engine, store, take):
    for derived in in_steps(engine, store):
        take(derived)


def as_fast_as_can_be(engine, store, take):
    store.replay(engine, on_derived=take, flush=True)


def outcome(replayed, engine, store):
    """What a replay of a kind derives, call by call, and the error that ends it."""
    calls = []
    try:
        replayed(engine, store, calls.append)
    except cep.EvaluationError as error:
        return calls, (error.code, str(error))
    return calls, None


def test_a_replay_that_passes_rows_over_meets_the_errors_that_one_of_every_row_does(monkeypatch):
    push_on = replay._Pushing.push_on
    counts = {"pushed": 0, "of": 0}

    def counting(self, reader, **how):
        nonlocal pushed
        found = push_on(self, reader, **how)
        pushed += found["rows"][0]
        return found

    raised = {rule.name: 0 for rule in rules_that_raise()}
    derived = pushed = before = 0
    for case in range(CASES):
        chance = random.Random(case)
        raising = rules_that_raise()[case % len(raised)]
        picked = [raising, *chance.sample(rules_of_few_rows(chance), chance.randrange(2))]
        options = {"lateness": chance.choice(["0ns", "30ns"]), "ids": True, "future": None, "late": "drop"}
        with cep.EventStore() as store:
            for topic, batch in long_batches(chance)[:4]:
                store.append(topic, with_bad_values(chance, batch))
                if chance.random() < 0.3:
                    store.seal()
            if chance.random() < 0.7:
                store.seal()
            if "t" not in store.info().topics:
                continue
            whole, few = cep.Engine(picked, **options), cep.Engine(picked, **options)
            pushed = 0
            expected, expected_error = outcome(in_steps_to, whole, store)
            monkeypatch.setattr(replay._Pushing, "push_on", counting)
            found, error = outcome(as_fast_as_can_be, few, store)
            monkeypatch.setattr(replay._Pushing, "push_on", push_on)
        assert error == expected_error, (case, raising)
        expected, found = shown(expected), shown(found)
        if error is None:
            assert found == expected, case
            assert known(few) == known(whole), case
            counts["of"] += whole.stats().rows
            counts["pushed"] += pushed
            derived += sum(len(events) for events, _ in found.values())
        else:
            raised[raising.name] += 1
            # Rows are cut into pushes elsewhere, so that more or fewer before the bad one are already behind.
            for topic, (events, _) in expected.items():
                of_few, _ = found.get(topic, ([], []))
                both = min(len(events), len(of_few))
                assert of_few[:both] == events[:both], case
                before += both
    assert min(raised.values()) > 0, raised
    assert derived > CASES, derived
    assert before > 0
    # Rows are passed over all the same where no condition raises.
    assert counts["pushed"] < counts["of"] * 0.8, counts


def known(engine):
    """What an engine tells of itself, but how it does its work."""
    stats = engine.stats()
    of_rules = [(rule.name, rule.matches, rule.live_runs, rule.keys) for rule in stats.rules]
    return stats.rows, stats.late, stats.waiting, stats.watermark, stats.sources, of_rules


def parted(engine, store):
    """How often few rows are given by themselves, where those around them do not matter."""
    topics = replay.replayed_topics(store, engine, None)
    replay._declare(engine, store, topics)
    reader = store.read(topics)._native.reader(replay._mattering(engine, store, topics))
    pieces = iter(reader.next_rows, None)
    return sum(rows is not None and rows[2][2] < 64 for _, rows, _ in pieces)


def test_a_replay_that_looks_through_pages_derives_what_one_of_every_row_does(monkeypatch):
    pushed = {"rows": 0, "parted": 0}
    push_on = replay._Pushing.push_on

    def counting(self, reader, **how):
        found = push_on(self, reader, **how)
        pushed["rows"] += found["rows"][0]
        return found

    rows = late = derived = 0
    for case in range(CASES // 2):
        chance = random.Random(case)
        picked = rules_of_few_rows(chance)
        options = {"lateness": chance.choice(["0ns", "30ns", None]), "ids": True, "future": None}
        with cep.EventStore() as store:
            for topic, batch in long_batches(chance):
                if chance.random() < 0.1:
                    store.protect(topic, subject="who", columns=[chance.choice(["n", "kind"])])
                store.append(topic, batch)
                if chance.random() < 0.3:
                    store.seal()
            if chance.random() < 0.7:
                store.seal()
            counted = sum(topic.events for topic in store.info().topics.values())
            if chance.random() < 0.2:
                from_, to = sorted([chance.randrange(counted + 1), chance.randrange(counted + 1)])
            else:
                from_, to = 0, None
            whole, few = cep.Engine(picked, **options), cep.Engine(picked, **options)
            if not set(whole._native.reads()) & set(store.info().topics):
                continue
            pushed["parted"] += parted(cep.Engine(picked, **options), store)
            expected = shown(in_steps(whole, store, from_=from_, to=to))
            monkeypatch.setattr(replay._Pushing, "push_on", counting)
            found = shown([store.replay(few, from_=from_, to=to, flush=True)])
            monkeypatch.setattr(replay._Pushing, "push_on", push_on)
        assert found == expected, case
        assert known(few) == known(whole), case
        rows += counted
        late += whole.stats().late
        derived += sum(len(events) for events, _ in expected.values())
    assert late > CASES, late
    assert derived > 5 * CASES, derived
    # Many rows were not pushed the second time; some were, by themselves, from between others.
    assert pushed["rows"] < rows * 0.6, (pushed, rows)
    assert pushed["parted"] > CASES / 3, pushed


def test_a_replay_from_the_middle_keeps_the_numbers_of_rows():
    rule = event("a", col.n == 3, topic="t").select(n="a.n").named("three")
    with cep.EventStore() as store:
        for start in range(0, 40, 4):
            store.append("t", {"ts": list(range(start, start + 4)), "n": [1, 2, 3, 4]})
        whole = store.replay(cep.Engine(rule, ids=True))["three"].to_arrow()
        store.seal()
        part = store.replay(cep.Engine(rule, ids=True), from_=21)["three"]
        assert part.to_arrow()["id"].to_pylist() == whole["id"].to_pylist()[5:]
        assert part.rows["row"].to_pylist() == [22, 26, 30, 34, 38]
        assert part.to_arrow()["causationid"].to_pylist()[0] == "t#22"


def test_pages_between_which_other_topics_lie_are_read():
    a = (event("x", col.k == 1, topic="a") >> event("y", col.k == 1, topic="a")).within("1h").named("aa")
    b = event("z", col.k == 1, topic="b").named("bb")
    with cep.EventStore() as store:
        for number in range(20):
            store.append("a", {"ts": [number * 100], "k": [0]})
            store.append("b", {"ts": [number * 100], "k": [1]})
        store.seal()
        options = {"lateness": "100ns", "idle": "300ns", "future": None}
        found = store.replay(cep.Engine([a, b], **options), ["a", "b"], flush=True)
        assert found["bb"].num_rows == 20
        assert "b.late" not in found
