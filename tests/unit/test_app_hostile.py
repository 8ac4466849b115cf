"""Apps that are given what nobody would give them: no event, no key, no text, no result; the app goes on."""

import datetime as dt
import math

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import AppError

LONG_AGO = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)


def goes_on(test, seen):
    """The app takes an event and gives it to whoever is there."""
    before = len(seen)
    test.publish("payment", amount=7, key="z")
    return len(seen) == before + 1


# What comes.

REFUSED = {
    "no type": ({}, "event-type"),
    "type is a number": ({"type": 5}, "event-type"),
    "type is empty": ({"type": ""}, "event-type"),
    "type with a zero byte": ({"type": "a\0b"}, "event-type"),
    "type of a thousand bytes": ({"type": "x" * 1000}, "event-type"),
    "type is a pattern": ({"type": "order.*"}, "event-type"),
    "half a surrogate pair as type": ({"type": "\ud800"}, None),
    "half a surrogate pair as value": ({"type": "odd", "value": "\ud800"}, None),
    "a column of the store": ({"type": "odd", "_position": 1}, "field-name"),
    "a column without a name": ({"type": "odd", "": 1}, "field-name"),
    "an object": ({"type": "odd", "value": object()}, None),
    "a number of thirty digits": ({"type": "odd", "value": 10**30}, None),
    "time is no time": ({"type": "odd", "time": "soon"}, "event-time"),
    "time before there were clocks": ({"type": "odd", "time": dt.datetime(1, 1, 1)}, "event-time"),
    "time ahead of the clock": ({"type": "odd", "time": dt.datetime(2200, 1, 1)}, "future-event"),
    "ten thousand columns": ({"type": "odd", **{f"c{place}": place for place in range(10_000)}}, "payload-too-large"),
    "the app's own topic": ({"type": "cepheid.clock"}, "own-topic"),
    "what a rule derives": ({"type": "large", "amount": "none"}, "derived-topic"),
    "what late rows are in": ({"type": "payment.late", "amount": "none"}, "derived-topic"),
    "two columns of one name": (pa.table([[1], [2]], names=["a", "a"]), "field-name"),
    "a table without columns": (pa.table({"a": [1]}).select([]), "event-type"),
}

TAKEN = {
    "spaces and letters in the type": {"type": " Bücher und Hüte.neu "},
    "not a number": {"type": "fine", "value": math.nan},
    "no time": {"type": "fine", "time": None},
    "a naive time": {"type": "fine", "time": dt.datetime(2024, 1, 1)},
    "a time as text": {"type": "fine", "time": "2023-12-31T23:00:00Z"},
    "a number as id": {"type": "fine", "id": 5},
    "an id twice": [{"type": "fine", "id": "a"}, {"type": "fine", "id": "a"}],
    "dictionaries": pa.table(
        {"type": pa.array(["fine"]).dictionary_encode(), "d": pa.array(["x"]).dictionary_encode()}
    ),
    "nested values": {"type": "deep", "value": {"a": [{"b": [1, 2, {"c": None}]}]}},
}

NOTHING = {
    "an empty list": [],
    "no rows": pa.table({"type": pa.array([], pa.string())}),
}


@pytest.fixture
def bank():
    app = cep.App("bank", cep.event("a", "amount > 500", topic="payment").named("large"))
    seen = []
    app.on(">", name="all")(seen.append)
    app.on("payment", name="one")(lambda event: None)
    with app.test() as test:
        yield app, test, seen


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_event_is_told_of_and_the_app_goes_on(bank, what):
    _, test, seen = bank
    sent, code = REFUSED[what]
    assert test.publish(sent) == ()
    [rejected] = test.events("cepheid.rejected")
    assert code in (None, rejected["code"])
    assert rejected["reason"]
    assert seen == []
    assert goes_on(test, seen)
    test.restart()
    assert goes_on(test, seen)


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_odd_and_an_event_is_stored_and_handled(bank, what):
    _, test, seen = bank
    positions = test.publish(TAKEN[what])
    assert sum(position.events for position in positions) == len(seen) > 0
    test.restart()
    assert goes_on(test, seen)


@pytest.mark.parametrize("what", NOTHING)
def test_nothing_is_taken_and_nothing_happens(bank, what):
    _, test, seen = bank
    assert test.publish(NOTHING[what]) == ()
    assert test.events() == []
    assert goes_on(test, seen)


@pytest.mark.parametrize("what", [None, 5, "text", b"bytes", [None], [5], object()])
def test_what_can_hold_no_event_is_refused_at_once(bank, what):
    app, test, seen = bank
    try:
        sent = app._take(what, "payment", wait=False).wait()
    except (cep.SchemaError, TypeError):
        assert test.events() == test.events("cepheid.rejected") == []
    else:
        # A list of what is no event has rows, and each is told of.
        assert sent == ()
        assert len(test.events("cepheid.rejected")) == 1
    assert goes_on(test, seen)


def test_topics_of_an_app_are_appended_to_by_itself_alone(tmp_path):
    with cep.EventStore(tmp_path / "s.db", event_time="time") as store:
        with cep.App("bank", cep.event("a", topic="payment").named("large"), store=store):
            for topic in ("payment", "large", "payment.late", "cepheid.clock"):
                with pytest.raises(cep.StoreError) as caught:
                    store.append(topic, [{"time": LONG_AGO}])
                assert caught.value.code == "claimed-topic"
            store.append("other", [{"time": LONG_AGO}])
            with pytest.raises(AppError) as refused:
                cep.App("shop", store=store).__enter__()
            assert refused.value.code == "store-claimed"
        store.append("payment", [{"time": LONG_AGO}])


# Keys and conditions.


class Hostile:
    """A value that cannot be told."""

    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("order", "unknown-key"),
        (lambda event: 1 / 0, "key-failed"),
        (lambda event: Hostile(), "key-failed"),
        (lambda event: event.missing, "key-failed"),
    ],
)
@pytest.mark.parametrize("argument", ["key", "idempotent_by"])
def test_an_event_without_its_key_is_given_up_and_others_go_on(key, code, argument):
    app = cep.App("shop")
    seen = []
    app.action("payment", name="tell", **{argument: key})(seen.append)
    app.on("payment", name="note")(seen.append)
    with app.test() as test:
        test.publish("payment", amount=1)
        [letter] = app.dead_letters()
        assert (letter.handler, letter.code, letter.key, letter.attempts) == ("tell", code, None, 0)
        assert len(seen) == 1, "the other handler has it"
        test.restart()
        assert len(app.dead_letters()) == 1
        assert app.retry("tell") == 1
        assert len(app.dead_letters()) == 1, "in vain"
        assert app.discard("tell") == 1
        assert app.dead_letters() == []
        assert test.events("cepheid.deadletter")[0]["code"] == code


@pytest.mark.parametrize("value", ["\ud800", "x" * 5000, "a\0b", "", "a/b/c", "ü\n"])
def test_any_text_is_a_key_and_happens_once(value):
    app = cep.App("shop")
    keys, plain = [], []
    app.action("order", name="once", idempotent_by=lambda _: value)(lambda event, context: keys.append(context.key))
    app.action("order", name="keyed", key=lambda _: value)(plain.append)
    with app.test() as test:
        test.publish([{"type": "order"}] * 2)
        test.restart()
        test.publish("order")
        assert app.dead_letters() == []
    assert len(keys) == 1
    assert keys[0].isprintable()
    assert len(plain) == 3


@pytest.mark.parametrize("batch", [False, True])
def test_a_condition_that_fails_at_an_event_holds_up_no_other(batch):
    app = cep.App("shop")
    seen = []

    def note(given):
        seen.extend(given["amount"].to_pylist() if batch else [given["amount"]])

    app.on("payment", where="100 / amount > 5", batch=batch, name="note")(note)
    with app.test() as test:
        test.publish({"amount": [1, 2, 0, 4, 50, 0, 5]}, "payment")
        assert seen == [1, 2, 4, 5]
        letters = app.dead_letters()
        assert [(letter.position, letter.code) for letter in letters] == [(2, "where-failed"), (5, "where-failed")]
        assert app.retry("note", position=2) == 1
        test.restart()
        assert len(app.dead_letters()) == 2
        test.publish("payment", amount=3)
        assert seen == [1, 2, 4, 5, 3]


def test_a_condition_holds_for_no_event_of_a_topic_that_lacks_its_column():
    app = cep.App("shop")
    seen = []
    app.on(">", where="amount > 5", name="note")(lambda event: seen.append(event["type"]))
    with app.test() as test:
        test.publish("letter", text="a")
        test.publish("payment", amount=7)
        test.publish("letter", text="b")
        assert app.dead_letters() == []
    assert seen == ["payment"]


def test_a_value_that_python_has_not_is_given_up_and_the_next_event_goes_on():
    # One of the year 38503.
    values = pa.array([1, 2**60], pa.timestamp("us"))
    app = cep.App("shop")
    seen, rows = [], []
    app.on("payment", name="note")(seen.append)
    app.on("payment", batch=True, name="all")(lambda table: rows.append(table.num_rows))
    with app.test() as test:
        test.publish(pa.table({"when": values}), "payment")
        test.publish(pa.table({"when": values.slice(0, 1)}), "payment")
        [letter] = app.dead_letters()
        assert (letter.handler, letter.code) == ("note", "event-unreadable")
        assert "`when`" in letter.reason
    assert len(seen) == 2
    assert sum(rows) == 3


# What handlers raise, and what they give.


class Mute(Exception):
    """Cannot say what is wrong, nor its code."""

    def __str__(self):
        raise ValueError("no text")

    @property
    def code(self):
        raise ValueError("no code")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Mute(), "Mute"),
        (OSError("no file \udc80"), "udc80"),
        (ValueError("x" * 100_000), "xxx"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "MemoryError"),
        (cep.ActionError("later", retry_after="five"), "later"),
        (cep.ActionError("later", retry_after=math.nan), "later"),
        (cep.ActionError("later", retry_after=-1e300), "later"),
        (cep.ActionError("later", code=""), "later"),
        (TimeoutError("the other side"), "the other side"),
        (GeneratorExit(), "GeneratorExit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_whatever_a_handler_raises_is_a_failure_with_a_reason(error, told):
    app = cep.App("shop")

    @app.action("payment", retries=1, timeout="1h")
    def tell(event):
        raise error

    if not isinstance(error, Exception):
        pytest.skip("in a test it ends the test; with threads see test_app_threads")
    with app.test() as test:
        test.publish("payment", amount=1)
        test.advance("1d")
        [letter] = app.dead_letters()
        assert told in letter.reason
        assert len(letter.reason) < 2100
        assert (letter.attempts, app.stats().handlers["tell"].timed_out) == (2, 0)
        [event] = test.events("cepheid.deadletter")
        assert event["reason"] == letter.reason


def test_an_action_that_asks_for_endless_patience_does_not_stop_the_clock():
    app = cep.App("shop")

    @app.action("payment")
    def tell(event):
        raise cep.ActionError("later", retry_after=math.inf)

    with app.test() as test:
        test.publish("payment", amount=1)
        test.advance("10d")
        assert app.stats().handlers["tell"].waiting == 1


GIVEN = {
    "a number": (5, "handler-result"),
    "a flag": (True, "handler-result"),
    "text": ("text", "handler-result"),
    "bytes": (b"bytes", "handler-result"),
    "an object": (object(), "handler-result"),
    "a function": (len, "handler-result"),
    "a range": (range(3), "handler-result"),
    "an event, and then a number": ([{"type": "note"}, 5], "handler-result"),
    "a list in itself": (cyclic := [], "failed"),
}
cyclic.append(cyclic)


@pytest.mark.parametrize("what", GIVEN)
def test_what_a_handler_gives_that_is_no_event_is_its_failure_and_nothing_of_it_is_stored(what):
    app = cep.App("shop")
    given, code = GIVEN[what]
    app.on("payment", name="give", retries=0)(lambda event: given)
    with app.test() as test:
        test.publish("payment", amount=1)
        [letter] = app.dead_letters()
        assert letter.code == code
        assert test.events("note") == []


def test_a_generator_that_fails_half_way_has_given_nothing():
    app = cep.App("shop")
    broken = [True]

    @app.on("payment", retries=0)
    def notes(event):
        yield {"type": "note", "part": 1}
        if broken:
            raise OSError("half way")
        yield {"type": "note", "part": 2}

    with app.test() as test:
        test.publish("payment", amount=1)
        assert test.events("note") == []
        broken.clear()
        assert app.retry("notes") == 1
        assert [event["part"] for event in test.events("note")] == [1, 2]


def test_what_a_handler_gives_of_the_apps_own_is_refused():
    app = cep.App("shop", cep.event("a", topic="payment").named("large"))
    app.on("payment", name="forge")(lambda event: [{"type": "cepheid.action"}, {"type": "large"}, {"type": "note"}])
    with app.test() as test:
        test.publish("payment", amount=1)
        assert {row["code"] for row in test.events("cepheid.rejected")} == {"own-topic", "derived-topic"}
        assert len(test.events("large")) == len(test.events("note")) == 1
        assert test.events("cepheid.action") == []


def test_an_action_that_would_only_yield_is_refused():
    app = cep.App("shop")

    def later(event):
        yield event

    async def soon(event):
        yield event

    for function in (later, soon):
        with pytest.raises(TypeError, match="yields"):
            app.action("payment")(function)


# What the app says of itself.


def test_who_acts_upon_what_was_done_is_not_asked_to_do_so_for_ever():
    app = cep.App("shop")
    audited, given_up = [], []
    app.action("payment", name="tell")(lambda event: None)
    app.action("cepheid.>", name="audit", idempotent_by="id")(audited.append)

    @app.on("cepheid.>", retries=0)
    def unlucky(event):
        given_up.append(event)
        raise OSError("no connection")

    with app.test() as test:
        test.publish("payment", amount=1)
        test.advance("1h")
        assert len(audited) == len(given_up) == 1
        assert [letter.topic for letter in app.dead_letters()] == ["cepheid.action"]


# What was there before.


def test_rows_that_rules_cannot_take_do_not_keep_an_app_from_starting(tmp_path, caplog):
    path = tmp_path / "s.db"
    with cep.EventStore(path, event_time="time") as store:
        store.append("payment", [{"time": LONG_AGO, "amount": amount} for amount in (1, 0, 2, 0)])
    app = cep.App("bank", cep.event("a", "100 / amount > 5", topic="payment").named("small"), store=path, late="error")
    with app:
        app.send({"type": "payment", "amount": 3}).wait(30)
        assert app.store.read("small").count() == 1
    assert caplog.text.count("cannot take row") == 2


def test_a_store_whose_times_have_no_zone_can_be_gone_on_with(tmp_path):
    path = tmp_path / "s.db"
    with cep.EventStore(path, event_time="time") as store:
        store.append("payment", [{"time": dt.datetime(2023, 1, 1), "amount": 1}])
    seen = []
    app = cep.App("bank", cep.event("a", topic="payment").named("small"), store=path)
    app.on("other", name="note")(seen.append)
    with app:
        app.send({"type": "other"}).wait(30)
        assert app._running.drain(30)
    assert len(seen) == 1


KINDS = [
    pa.array([dt.date(2024, 1, 1)], pa.date64()),
    pa.array([dt.time(1)], pa.time32("s")),
    pa.array([dt.time(1)], pa.time64("ns")),
    pa.array([dt.timedelta(1)], pa.duration("s")),
    pa.array([1_000_000_001], pa.duration("ns")),
    pa.array([[{"a": dt.timedelta(1)}]], pa.list_(pa.struct([("a", pa.duration("ms"))]))),
    pa.array(["a"], pa.string_view()),
    pa.array([b"a"], pa.binary_view()),
    pa.array(["a"], pa.large_string()),
    pa.array([[1]], pa.large_list(pa.int8())),
    pa.RunEndEncodedArray.from_arrays([1], [7]),
    pa.array([1.5], pa.float16()),
    pa.array([1], pa.uint8()),
    pa.array(["a"]).dictionary_encode(),
]


@pytest.mark.parametrize("values", KINDS, ids=lambda values: str(values.type))
def test_a_column_of_any_kind_is_the_same_after_a_restart(values):
    app = cep.App("shop")
    seen, works = [], []

    @app.on("order", retries=cep.Retry(9, first="1h"))
    def note(event):
        seen.append(event)
        if not works:
            raise OSError("not now")

    with app.test() as test:
        test.publish(pa.table({"x": values}), "order")
        works.append(True)
        # What was given as it had come is read from the store now.
        test.restart()
        test.publish(pa.table({"x": values}), "order")
    assert len(seen) == 3
    assert seen[0] == seen[1]
    assert seen[1]["x"] == seen[2]["x"]
    assert seen[0]["x"] is not None


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([1], pa.decimal256(50, 2)),
        # More microseconds than 64 bits hold.
        pa.array([2**62], pa.duration("s")),
    ],
    ids=lambda values: str(values.type),
)
def test_a_column_of_a_kind_or_a_size_that_there_is_not_is_refused(values):
    app = cep.App("shop")
    with app.test() as test:
        assert test.publish(pa.table({"x": values}), "order") == ()
        assert [row["code"] for row in test.events("cepheid.rejected")] == ["field-type"]
        test.restart()
