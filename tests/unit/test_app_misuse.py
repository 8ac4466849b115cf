"""Apps that are used the wrong way, and rules of theirs that come, change, and go."""

import asyncio
import time

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import AppError, PatternError

# Misuse.


def test_what_is_wrong_is_said_when_it_is_registered():
    app = cep.App("shop")
    app.on("a", name="h")(print)
    for wrong, kind, code in [
        (lambda: app.on("a", name="h")(print), AppError, "duplicate-name"),
        (lambda: app.on([], name="i")(print), AppError, "no-topic"),
        (lambda: app.on("a", name="i", priority=10)(print), PatternError, "invalid-clause"),
        (lambda: app.on("a", name="i", concurrency=0)(print), PatternError, "invalid-clause"),
        (lambda: app.on("a", name="i", batch=True, key="x")(print), AppError, "app-option"),
        (lambda: app.action("a", name="i", rate="fast")(print), PatternError, "invalid-clause"),
        (lambda: app.action("a", name="i", timeout="0s")(print), PatternError, "invalid-clause"),
        (lambda: app.on("a", name="i", retries=-1)(print), PatternError, "invalid-clause"),
        (lambda: app.add(cep.event("a").named("r")), AppError, "rule-topic"),
        (lambda: app.store, AppError, "app-not-running"),
        (lambda: app.send({"type": "a"}), AppError, "app-not-running"),
        (lambda: app.remove("r"), PatternError, "unknown-rule"),
    ]:
        with pytest.raises(kind) as caught:
            wrong()
        assert caught.value.code == code
    for wrong in (
        lambda: cep.App(7),
        lambda: app.on("a", name="i")(7),
        lambda: app.on("a", name="i", priority="high")(print),
        lambda: app.on("a", name="i", retries="many")(print),
        lambda: app.source(7),
        lambda: app.test(clock=7),
        lambda: app.action("a", name="i", breaker=5)(print),
        lambda: cep.App("shop", store=7),
        lambda: cep.App("shop", clock=7),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_an_app_runs_once_at_a_time():
    app = cep.App("shop")
    with app:
        with pytest.raises(AppError) as caught, app:
            pass
        assert caught.value.code == "app-running"
        with pytest.raises(AppError) as caught:
            app.on("a")(print)
        assert caught.value.code == "app-running"
    with app:
        app.send({"type": "a"}).wait()


def test_a_store_of_other_event_time_is_refused(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", [{"ts": 1}])
        with pytest.raises(AppError) as caught:
            cep.App("shop", store=store).__enter__()
        assert caught.value.code == "store-event-time"
    with pytest.raises(cep.StoreError):
        cep.App("shop", store=tmp_path / "s.db").__enter__()


def test_what_rules_read_comes_by_the_app_alone(tmp_path):
    with cep.EventStore(tmp_path / "s.db", event_time="time") as store:
        with cep.App("bank", cep.event("big", "amount > 500", topic="payment").named("big"), store=store):
            store.append("other", [{"time": 1}])
            with pytest.raises(cep.StoreError) as caught:
                store.append("payment", [{"time": 1}])
            assert caught.value.code == "claimed-topic"
            with pytest.raises(cep.StoreError), store.transaction() as changes:
                changes.append("payment", [{"time": 1}])
        store.append("payment", [{"time": 1}])


# Rules that change.


def test_rules_come_and_go_with_the_files_of_a_folder(tmp_path):
    app = cep.App("shop", {"own": cep.event("a", "amount > 0", topic="order")})
    app.rules_from(tmp_path, poll="10ms")
    (tmp_path / "large.json").write_text(cep.event("a", "amount > 500", topic="order").to_json())
    (tmp_path / "own.json").write_text(cep.event("a", topic="order").to_json())
    with app:

        def until(wanted):
            for _ in range(500):
                if set(app.rules) == wanted:
                    return
                time.sleep(0.01)
            raise AssertionError(app.rules)

        until({"own", "large"})
        app.send({"type": "order", "amount": 900}).wait()
        (tmp_path / "small.sql").write_text(
            "SELECT * FROM order_small MATCH_RECOGNIZE (ORDER BY time PATTERN (A) DEFINE A AS amount < 5)"
        )
        (tmp_path / "broken.json").write_text("{")
        until({"own", "large", "small"})
        (tmp_path / "large.json").unlink()
        until({"own", "small"})
        assert app.store.read("large").to_arrow().num_rows == 1
        wanted = {
            ("added", "own"),
            ("added", "large"),
            ("added", "small"),
            ("removed", "large"),
            ("refused", "own"),
            ("refused", "broken"),
        }
        for _ in range(500):
            changes = app.store.read("cepheid.rule").to_arrow().select(["kind", "rule"]).to_pylist()
            if {(change["kind"], change["rule"]) for change in changes} == wanted:
                break
            time.sleep(0.01)
        else:
            raise AssertionError(changes)


def test_what_a_program_changes_about_its_rules_is_written_down_and_warmed(tmp_path):
    def pair(more):
        large = cep.event("b", f"amount > {more}", topic="order")
        return (cep.event("a", "amount > 0", topic="order") >> large).within("1h")

    path = tmp_path / "s.db"
    with cep.App("shop", {"pair": pair(900)}, store=path) as app:
        app.send([{"type": "order", "amount": 700}]).wait()
    with cep.App("shop", {"pair": pair(500), "other": cep.event("o", topic="stock")}, store=path) as app:
        app.send([{"type": "order", "amount": 600}]).wait()
        assert app.store.read("pair").to_arrow().num_rows == 1
        kinds = app.store.read("cepheid.rule").to_arrow().select(["kind", "rule"]).to_pylist()
        report = {rule["rule"] for rule in app.store.report().rules}
    assert [(one["kind"], one["rule"]) for one in kinds] == [
        ("added", "pair"),
        ("added", "other"),
        ("replaced", "pair"),
    ]
    assert report >= {"pair", "other"}


def test_what_could_not_be_called_is_said_when_it_is_registered():
    app = cep.App("shop")
    for wrong in (
        lambda: app.on(print),
        lambda: app.action(print),
        lambda: app.on("a", name="none")(lambda: None),
        lambda: app.on("a", name="three")(lambda event, context, more: None),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AppError) as caught:
        app.on([])
    assert caught.value.code == "no-topic"


def test_an_app_is_not_run_where_a_loop_runs():
    async def main():
        with pytest.raises(AppError) as caught:
            cep.App("shop").run()
        return caught.value.code

    assert asyncio.run(main()) == "app-running"


def test_a_store_of_columns_that_no_app_takes_in_is_taken_all_the_same(tmp_path, caplog):
    column = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    with cep.EventStore(tmp_path / "s.db", event_time="time") as store:
        store.append("odd", pa.table({"time": pa.array([1], pa.timestamp("us", "UTC")), "m": column}))
    with cep.App("shop", store=tmp_path / "s.db") as app:
        assert app.send({"type": "order"}).wait()[0].first == 1
    assert "`odd`" in caplog.text
