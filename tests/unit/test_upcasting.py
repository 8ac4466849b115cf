"""Upcasters: old events read as new ones, step by step, and versions that nobody knows."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep


@pytest.fixture
def store():
    with cep.EventStore() as made:
        yield made


def chain() -> cep.Upcasters:
    """``amount`` becomes ``cents``, and ``user`` becomes ``customer``, in three versions."""
    made = cep.Upcasters()

    @made.on("order.created", from_version=1)
    def cents(events):
        return events.append_column("cents", pc.multiply(events["amount"], 100)).drop_columns(["amount"])

    @made.on("order.created", from_version=2)
    def renamed(events):
        return events.rename_columns({"user": "customer"})

    return made


def test_each_event_goes_from_its_own_version_to_the_newest(store):
    store.append("order.created", [{"ts": 1, "user": "a", "amount": 7}])
    store.append("order.paid", [{"ts": 2, "paid": True}])
    store.append("order.created", [{"ts": 3, "user": "b", "cents": 50, "schemaversion": 2}])
    store.append("order.created", [{"ts": 4, "customer": "c", "cents": 60, "schemaversion": 3}])
    store.append("order.created", [{"ts": 5, "user": "d", "amount": 8, "schemaversion": None}])
    read = chain().read(store, "order.*", metadata=True)
    assert read["_position"].to_pylist() == [0, 1, 2, 3, 4]
    assert read["_topic"].to_pylist() == ["order.created", "order.paid", *["order.created"] * 3]
    assert read["customer"].to_pylist() == ["a", None, "b", "c", "d"]
    assert read["cents"].to_pylist() == [700, None, 50, 60, 800]
    assert read["schemaversion"].to_pylist() == [3, None, 3, 3, 3]
    assert chain().read(store, ["order.created"], from_=2, limit=1)["ts"].to_pylist() == [3]
    # What is stored stays as it was written.
    assert store.read("order.created").to_arrow()["schemaversion"].to_pylist() == [None, 2, 3, None]
    assert chain().read(store, "nothing.*").num_rows == 0


def test_a_gap_and_a_version_that_is_not_known_are_named(store):
    gap = cep.Upcasters()
    gap.on("order.created", from_version=1)(lambda events: events)
    gap.on("order.created", from_version=3)(lambda events: events)
    assert gap.latest("order.created") == 4
    for version, code, at in ((2, "upcaster-missing", 2), (1, "upcaster-missing", 2), (5, "event-version", 5)):
        table = pa.table({"ts": [1], "schemaversion": [version]})
        with pytest.raises(cep.UpcastError, match=r"order\.created") as caught:
            gap.upcast("order.created", table)
        error = pickle.loads(pickle.dumps(caught.value))
        assert (error.code, error.topic, error.version) == (code, "order.created", at)
    assert gap.upcast("order.created", pa.table({"schemaversion": [3, 4]}))["schemaversion"].to_pylist() == [4, 4]
    with pytest.raises(cep.UpcastError) as caught:
        gap.upcast("order.created", pa.table({"schemaversion": [0]}))
    assert (caught.value.code, caught.value.version) == ("event-version", 0)
    with pytest.raises(cep.UpcastError, match="says no versions"):
        gap.upcast("order.created", pa.table({"schemaversion": ["one"]}))
    # Text that says a number is one; topics of which nothing is said are passed on.
    assert gap.upcast("order.created", pa.table({"schemaversion": ["4"]}))["schemaversion"].to_pylist() == [4]
    assert gap.upcast("order.paid", pa.table({"schemaversion": [9]}))["schemaversion"].to_pylist() == [9]
    known = cep.Upcasters({"order.paid": 2})
    assert known.upcast("order.paid", pa.table({"schemaversion": [2]})).num_rows == 1
    with pytest.raises(cep.UpcastError, match="version 1"):
        known.upcast("order.paid", pa.table({"ts": [1]}))


def test_a_function_that_fails_is_told(store):
    def failing(function):
        made = cep.Upcasters()
        made.on("t", from_version=1)(function)
        return made

    for function, problem in (
        (lambda events: events["nothing"], "KeyError"),
        (lambda events: None, "NoneType"),
        (lambda events: events.slice(1), "2 rows and gave 1"),
        (lambda events: events.append_column("x", events["x"]), "two columns named"),
    ):
        with pytest.raises(cep.UpcastError, match=problem) as caught:
            failing(function).upcast("t", pa.table({"x": [1, 2]}))
        assert (caught.value.code, caught.value.topic, caught.value.version) == ("upcaster-failed", "t", 1)


def test_what_is_registered_twice_or_no_version_is_refused():
    made = chain()
    with pytest.raises(cep.StoreError) as caught:
        made.on("order.created", from_version=1)(lambda events: events)
    assert caught.value.code == "duplicate-handler"
    with pytest.raises(cep.StoreError):
        made.on("order.created", from_version=0)
    with pytest.raises(TypeError):
        made.on("order.created", from_version="1")
    with pytest.raises(TypeError):
        made.on("order.created", from_version=7)(None)
    assert repr(made) == "<Upcasters: order.created to 3>"


def test_projections_are_given_the_newest_form(store):
    total = cep.Projection("total", initial=0, upcasters=chain())

    @total.on("order.created")
    def created(state, events):
        return state + pc.sum(events["cents"]).as_py()

    store.append("order.created", [{"ts": 1, "user": "a", "amount": 7}])
    store.append("order.created", [{"ts": 3, "user": "b", "cents": 50, "schemaversion": 2}])
    total.catch_up(store)
    assert total.state(store) == 750
    store.append("order.created", [{"ts": 4, "cents": 1, "schemaversion": 9}])
    with pytest.raises(cep.UpcastError):
        total.catch_up(store)
    assert (total.state(store), total.lag(store)) == (750, 1)


def test_one_call_serves_many_short_runs(store):
    calls = []
    made = cep.Upcasters()

    @made.on("a", from_version=1)
    def counted(events):
        calls.append(events.num_rows)
        return events

    for number in range(6):
        store.append("ab"[number % 2], [{"ts": number}])
    assert made.read(store)["ts"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert calls == [3]
