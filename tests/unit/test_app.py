"""Apps in virtual time: what is stored, derived, handled, and in which order."""

import asyncio
import datetime as dt

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import AppError

FRAUD = (
    (
        cep.event("small", "amount < 10", topic="payment").at_least(2)
        >> cep.event("big", "amount > 500", topic="payment")
    )
    .partition_by("card")
    .within("10m")
    .named("fraud")
)


def pay(test, *amounts, card="c"):
    for amount in amounts:
        test.publish("payment", card=card, amount=amount)


# From an event to what is derived.


def test_what_rules_derive_is_stored_with_the_story_that_it_is_of():
    app = cep.App("bank", FRAUD)
    with app.test() as test:
        pay(test, 3, 2, 900)
        payments, [found] = test.events("payment"), test.events("fraud")
    assert found["card"] == "c"
    assert found["causationid"] == payments[-1]["id"]
    assert found["source"] == "bank"
    assert found["type"] == "fraud"
    assert found["time"] == payments[-1]["time"]


def test_an_event_is_given_what_it_does_not_say():
    app = cep.App("shop")
    with app.test() as test:
        positions = test.publish({"type": "order.paid", "order": 7})
        [event] = test.events("order.paid")
        assert event["time"] == test.now
    assert positions == (cep.Position("order.paid", first=0, events=1, row=0),)
    assert event["id"]
    assert event["source"] == "shop"
    assert event["correlationid"] == event["id"]


def test_many_events_go_in_one_call_and_say_where_they_are():
    app = cep.App("shop")
    with app.test() as test:
        positions = test.publish([{"type": "a", "x": 1}, {"type": "b", "x": 2}, {"type": "a", "x": 3}])
        assert {position.topic: position.events for position in positions} == {"a": 2, "b": 1}
        table = pa.table({"x": [4, 5]})
        assert test.publish(table, "a")[0].row == 2
        assert [event["x"] for event in test.events("a")] == [1, 3, 4, 5]


# Handlers.


def test_what_a_handler_gives_is_published_and_handled_in_its_turn():
    app = cep.App("shop")
    seen = []

    @app.on("order.paid")
    def ship(event):
        yield {"type": "order.shipped", "order": event["order"]}
        yield "order.billed", {"order": event["order"]}

    @app.on("order.*", where="type <> 'order.paid'")
    async def note(event):
        await asyncio.sleep(0)
        seen.append((event["type"], event["order"]))

    with app.test() as test:
        test.publish("order.paid", order=7)
        [paid], [shipped] = test.events("order.paid"), test.events("order.shipped")
    assert sorted(seen) == [("order.billed", 7), ("order.shipped", 7)]
    assert shipped["causationid"] == paid["id"]
    assert shipped["correlationid"] == paid["correlationid"]


def test_what_a_handler_publishes_itself_is_of_the_same_story():
    app = cep.App("shop")

    @app.on("order.paid")
    async def ship(event):
        await app.publish({"type": "order.shipped"})

    @app.on("order.shipped")
    def thank(event):
        app.send({"type": "letter"}).wait()

    with app.test() as test:
        test.publish("order.paid", order=7)
        [paid], [letter] = test.events("order.paid"), test.events("letter")
    assert letter["correlationid"] == paid["id"]


def test_batches_are_tables_of_one_topic():
    app = cep.App("shop")
    tables = []

    @app.on("order.*", batch=True)
    def total(table):
        tables.append((set(table["type"].to_pylist()), table.num_rows))
        return pa.table({"type": ["total"], "rows": [table.num_rows]})

    with app.test() as test:
        test.publish([{"type": "order.made", "x": 1}, {"type": "order.paid", "y": "2"}, {"type": "order.made", "x": 3}])
        assert sum(event["rows"] for event in test.events("total")) == 3
    assert sum(rows for _, rows in tables) == 3
    assert all(len(types) == 1 for types, _ in tables)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("order.paid", 1), ("order.*", 2), ("*.paid", 2), (">", 4), ("order.>", 3), ("cepheid.*", 0), ("other", 0)],
)
def test_topics_are_named_by_patterns(pattern, expected):
    app = cep.App("shop")
    seen = []
    app.on(pattern, name="seen")(seen.append)
    with app.test() as test:
        for topic in ("order.paid", "order.made", "order.paid.late", "invoice.paid"):
            test.publish(topic, x=1)
    assert len(seen) == expected


def test_a_handler_that_is_new_begins_with_the_next_event_or_with_the_first(tmp_path):
    path = tmp_path / "s.db"
    with cep.App("shop", store=path) as app:
        app.send({"type": "order", "x": 1}).wait()
    app = cep.App("shop", store=path)
    late, early = [], []
    app.on("order", name="late")(lambda event: late.append(event["x"]))
    app.on("order", name="early", from_start=True)(lambda event: early.append(event["x"]))
    with app:
        app.send({"type": "order", "x": 2}).wait()
        assert app.drain("10s")
    assert (late, early) == ([2], [1, 2])


def test_objects_that_nobody_has_declared_are_given_as_they_came(tmp_path):
    app = cep.App("shop")
    seen = []
    app.on("order", name="see", from_start=True)(lambda event: seen.append((event["lines"], event["who"])))
    with app.test() as test:
        test.publish({"type": "order", "lines": [{"sku": "a"}, {"sku": "b"}], "who": {"name": "ada"}})
        test.publish({"type": "order", "lines": None, "who": None})
        assert test.events("order")[0]["who"] == {"name": "ada"}
    assert seen == [([{"sku": "a"}, {"sku": "b"}], {"name": "ada"}), (None, None)]


# Order, failure, dead letters.


def test_events_of_a_key_keep_their_order_while_others_go_on():
    app = cep.App("shop")
    seen, failing = [], [3]

    @app.on("order", key="order", retries=cep.Retry(5, first="1m"), concurrency=4)
    def handle(event):
        if event["order"] == 1 and failing[0]:
            failing[0] -= 1
            raise OSError("not now")
        seen.append((event["order"], event["step"]))

    with app.test() as test:
        for step in range(2):
            for order in (1, 2):
                test.publish("order", order=order, step=step)
        assert seen == [(2, 0), (2, 1)]
        test.advance("1h")
        assert seen[2:] == [(1, 0), (1, 1)]
        assert app.stats().handlers["handle"].retried == 3


def test_what_is_given_up_holds_back_its_key_until_it_is_tried_again():
    app = cep.App("shop")
    seen, broken = [], [True]

    @app.action("order", key="order", retries=1)
    def tell(event):
        if event["order"] == 1 and broken[0]:
            raise OSError("no connection")
        seen.append((event["order"], event["step"]))

    with app.test() as test:
        for step in range(3):
            test.publish("order", order=1, step=step)
            test.publish("order", order=2, step=step)
            test.advance("1m")
        assert seen == [(2, 0), (2, 1), (2, 2)]
        letters = app.dead_letters("tell")
        assert [(letter.key, letter.parked, letter.attempts) for letter in letters] == [
            ("1", False, 2),
            ("1", True, 0),
            ("1", True, 0),
        ]
        assert letters[0].reason == "OSError: no connection"
        assert app.retry("tell") == 3
        test.advance("1m")
        assert len(app.dead_letters()) == 3, "in vain"
        test.publish("order", order=1, step=3)
        broken[0] = False
        test.restart()
        assert app.retry("tell", position=letters[1].position) == 4
        assert seen[3:] == [(1, 0), (1, 1), (1, 2), (1, 3)]
        assert app.dead_letters() == []
        test.publish("order", order=1, step=4)
        assert seen[-1] == (1, 4)
        told = test.events("cepheid.deadletter")
        assert [letter["code"] for letter in told].count("parked") == 3


def test_dead_letters_can_be_let_go():
    app = cep.App("shop")
    seen = []

    @app.on("order", key="order", retries=0)
    def handle(event):
        if event["step"] == 0:
            raise ValueError("never")
        seen.append(event["step"])

    with app.test() as test:
        for step in range(2):
            test.publish("order", order=1, step=step)
        first, second = app.dead_letters()
        assert app.discard("handle", position=first.position) == 1
        assert app.dead_letters() == [second]
        assert app.retry("handle") == 1
        assert seen == [1]
        assert app.dead_letters() == []
        test.publish("order", order=1, step=2)
        assert seen == [1, 2]
        with pytest.raises(AppError) as caught:
            app.discard("handle", position=first.position)
        assert caught.value.code == "unknown-dead-letter"
        with pytest.raises(AppError) as caught:
            app.retry("handel")
        assert caught.value.hint is not None


def test_an_action_says_that_it_is_of_no_use_to_try_again_or_when():
    app = cep.App("shop")
    at = []

    @app.action("order")
    def tell(event, context):
        at.append((context.attempt, context.now.minute))
        if context.attempt == 1:
            raise cep.ActionError("too many", retry_after=600)
        raise cep.ActionError("refused", permanent=True, code="refused")

    with app.test() as test:
        test.publish("order", order=1)
        test.advance("1h")
        [letter] = app.dead_letters()
    assert at == [(1, 0), (2, 10)]
    assert (letter.attempts, letter.code) == (2, "refused")


def test_the_idempotency_key_is_the_same_for_every_attempt_and_no_other_event():
    app = cep.App("shop")
    keys = []

    @app.action("order", retries=2)
    def tell(event, context):
        keys.append(context.key)
        raise OSError

    with app.test() as test:
        test.publish("order", id="o-1")
        test.publish("order", id="o-2")
        test.advance("1h")
    assert keys.count("shop/tell/o-1") == keys.count("shop/tell/o-2") == 3
    assert len(keys) == 6


def test_events_of_one_id_and_different_sources_have_different_idempotency_keys():
    app = cep.App("shop")
    keys, batches = [], []
    app.action("order", name="tell")(lambda event, context: keys.append(context.key))

    @app.on("order", name="note", batch=True, concurrency=1)
    def note(rows):
        batches.append(rows.num_rows)
        return {"type": "order.noted"}

    events = [
        ("till", "7"),
        ("till/2", "7"),
        ("till", "2/7"),
        ("shop", "7"),
        ("shop", "till/7"),
        ("shop", "till%2F2/7"),
    ]
    # CloudEvents: the last is one that has come before.
    with app.test() as test:
        for source, event_id in [*events, events[0]]:
            test.publish("order", id=event_id, source=source)
        noted = test.events("order.noted")
    assert len(keys) == len(events) + 1
    assert len(set(keys)) == len(events)
    assert keys[-1] == keys[0] == "shop/tell/till/7"
    assert "shop/tell/7" in keys, "those of the app itself are called by their ids"
    assert len(noted) == len(batches) == len(events) + 1
    assert len({event["id"] for event in noted}) == len(events)


def test_what_is_idempotent_by_a_column_happens_once_for_each_value(tmp_path):
    app = cep.App("shop")
    told = []
    app.action("order", idempotent_by="order", name="tell", concurrency=8)(lambda event: told.append(event["order"]))
    with app.test() as test:
        test.publish([{"type": "order", "order": order} for order in (1, 1, 2, 1)])
        test.restart()
        test.publish("order", order=2)
        test.publish("order", order=3)
        outcomes = [event["outcome"] for event in test.events("cepheid.action")]
    assert told == [1, 2, 3]
    assert sorted(outcomes) == ["done"] * 3 + ["repeated"] * 3


def test_a_rate_spreads_what_is_done():
    app = cep.App("shop")
    minutes = []

    @app.action("order", rate="2/m", concurrency=10)
    def tell(event, context):
        minutes.append((context.now - dt.datetime(2024, 1, 1, tzinfo=dt.UTC)).total_seconds())

    with app.test() as test:
        test.publish([{"type": "order", "order": order} for order in range(5)])
        test.advance("5m")
    assert minutes == [0, 30, 60, 90, 120]


def test_a_breaker_lets_one_through_after_its_pause():
    app = cep.App("shop")
    at, works = [], []

    @app.action(
        "order",
        concurrency=10,
        retries=cep.Retry(20, first="1s", greatest="1s"),
        breaker=cep.CircuitBreaker(3, pause="1m"),
    )
    def tell(event, context):
        at.append((context.now - dt.datetime(2024, 1, 1, tzinfo=dt.UTC)).total_seconds())
        if not works:
            raise OSError

    with app.test() as test:
        test.publish([{"type": "order", "order": order} for order in range(3)])
        test.advance("59s")
        assert len(at) == 3
        test.advance("2s")
        assert len(at) == 4, "one only"
        works.append(True)
        test.advance("2m")
        assert app.stats().handlers["tell"].done == 3
        assert app.stats().handlers["tell"].breaker_opened == 2


def test_higher_priorities_go_first_and_lower_ones_still_go():
    app = cep.App("shop", workers=1)
    order = []
    app.on("order", name="low", priority=0)(lambda event: order.append("low"))
    app.on("order", name="high", priority=3)(lambda event: order.append("high"))
    with app.test() as test:
        test.publish([{"type": "order", "x": x} for x in range(90)])
    assert order.count("low") == order.count("high") == 90
    first = order[:90]
    assert 75 <= first.count("high") <= 85, "eight of nine"


# What cannot be taken.


def test_rows_that_a_rule_cannot_take_are_rejected_and_no_others():
    rule = cep.event("a", "100 / amount > 5", topic="payment").named("small")
    app = cep.App("bank", rule)
    amounts = [1, 0, 50, 4, 0, 0, 10, 25]
    with app.test() as test:
        positions = test.publish({"amount": amounts}, "payment")
        stored = [event["amount"] for event in test.events("payment")]
        rejected = test.events("cepheid.rejected")
        derived = test.events("small")
    assert stored == [1, 50, 4, 10, 25]
    assert sum(position.events for position in positions) == 5
    assert [row["code"] for row in rejected] == [rejected[0]["code"]] * 3
    assert b'"amount": 0' in rejected[0]["payload"]
    assert len(derived) == 3


def test_an_event_of_the_far_future_does_not_make_others_late():
    app = cep.App("bank", FRAUD)
    with app.test() as test:
        pay(test, 3)
        test.publish("payment", card="c", amount=2, time=test.now + dt.timedelta(days=900))
        pay(test, 2, 900)
        assert [row["code"] for row in test.events("cepheid.rejected")] == ["future-event"]
        assert len(test.events("fraud")) == 1
        assert test.events("payment.late") == []


def test_late_events_are_stored_and_told_of():
    app = cep.App("bank", FRAUD)
    with app.test() as test:
        test.advance("1h")
        pay(test, 3, 2)
        test.publish("payment", card="c", amount=900, time=test.now - dt.timedelta(minutes=30))
        assert len(test.events("payment")) == 3
        assert [event["amount"] for event in test.events("payment.late")] == [900]


# Time.


def test_deadlines_pass_while_nothing_comes():
    paid = cep.event("paid", topic="order.paid")
    rule = (cep.event("made", topic="order.made") >> cep.absent(paid, for_="1h")).partition_by("order").named("unpaid")
    app = cep.App("shop", rule, quiet="10s")
    with app.test() as test:
        test.publish("order.made", order=7)
        test.publish("order.made", order=8)
        test.advance("30m")
        test.publish("order.paid", order=8)
        test.advance("29m")
        assert test.events("unpaid") == []
        test.advance("2m")
        [found] = test.events("unpaid")
        assert found["order"] == 7
        assert found["time"] == dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC)


def test_reading_history_moves_no_clock():
    app = cep.App("bank", FRAUD)
    with app.test() as test:
        long_ago = test.now - dt.timedelta(days=300)
        for place, amount in enumerate((3, 2, 900)):
            test.publish("payment", card="c", amount=amount, time=long_ago + dt.timedelta(seconds=place))
            test.advance("1h")
        assert len(test.events("fraud")) == 1
        assert test.events("payment.late") == []


# Starting again.


@pytest.mark.parametrize("crash_after", range(7))
def test_a_crash_between_any_two_events_changes_nothing(crash_after):
    app = cep.App("bank", FRAUD)
    told = []
    app.action("fraud", name="tell")(lambda event: told.append(event["id"]))
    app.on("fraud", name="note")(lambda event: {"type": "note", "card": event["card"]})
    with app.test() as test:
        for place, (card, amount) in enumerate(
            [("a", 3), ("b", 2), ("a", 1), ("b", 3), ("a", 900), ("b", 800), ("a", 9)]
        ):
            pay(test, amount, card=card)
            if place == crash_after:
                test.restart()
        assert [event["card"] for event in test.events("fraud")] == ["a", "b"]
        assert [event["card"] for event in test.events("note")] == ["a", "b"]
    assert len(told) == len(set(told)) == 2


def test_what_time_did_is_remembered_after_a_crash():
    paid = cep.event("paid", topic="order.paid")
    rule = (cep.event("made", topic="order.made") >> cep.absent(paid, for_="1h")).partition_by("order").named("unpaid")
    app = cep.App("shop", rule, quiet="10s")
    with app.test() as test:
        test.publish("order.made", order=7)
        test.advance("2h")
        assert len(test.events("unpaid")) == 1
        test.restart()
        test.publish("order.paid", order=9)
        test.advance("2h")
        assert len(test.events("unpaid")) == 1


def test_what_is_derived_keeps_the_order_of_what_it_was_matched_by():
    app = cep.App("bank", FRAUD)
    with app.test() as test:
        pay(test, 3, 2, 900, card="c-7")
        [found] = test.events("fraud")
    assert found["partitionkey"] == "c-7"


def test_a_test_begins_without_what_another_has_seen():
    app = cep.App("shop")
    for amount in (7, "seven", 7.5):
        with app.test() as test:
            test.publish("order.paid", amount=amount)
            assert [event["amount"] for event in test.events("order.paid")] == [amount]
            test.restart()
            test.publish("order.paid", amount=amount)
            assert len(test.events("order.paid")) == 2


def test_a_rate_is_that_of_one_run():
    app = cep.App("shop")
    app.action("order", rate="1/m", name="tell")(lambda event: None)
    for _ in range(2):
        with app.test() as test:
            test.publish("order", x=1)
            assert app.stats().handlers["tell"].done == 1
