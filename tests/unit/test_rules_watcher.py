"""Rules of a folder in an app that runs, and in one that is started again."""

from __future__ import annotations

import time

import pytest

import cepheid as cep
from cepheid import event, ref
from cepheid.runtime.rules_folder import RulesFolder
from cepheid.runtime.rules_watcher import RulesWatcher


def large(more=500, topic="order"):
    return event("a", f"amount > {more}", topic=topic).select(amount=ref("a").amount).to_json()


class Shop:
    """An app that runs, and a folder that it is made to look at by hand."""

    def __init__(self, path, *rules):
        self.path = path
        self.app = cep.App("shop", list(rules), quiet="10s")
        self.app.rules_from(path, poll="0s")

    def write(self, name, text):
        (self.path / name).write_text(text)

    def look(self):
        running = self.app._running
        running._watcher.look(running)

    @property
    def disabled(self):
        return self.app._running.pipeline.rules.disabled

    def changes(self, test):
        return [(one["kind"], one["rule"]) for one in test.events("cepheid.rule")]


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_an_app_that_is_started_waits_for_files_that_have_just_been_written(tmp_path):
    (tmp_path / "large.json").write_text(large())
    watcher = RulesWatcher(RulesFolder(tmp_path, poll="5s"), set())
    begin = time.monotonic()
    rules, disabled = watcher.first()
    assert (list(rules), disabled) == (["large"], set())
    assert time.monotonic() - begin < 4.0, "the file was looked at twice, and not waited for as long as it may be"


def test_a_file_that_never_stops_changing_does_not_keep_an_app_from_starting(tmp_path, monkeypatch):
    file = tmp_path / "large.json"
    file.write_text(large())
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        file.write_text(large(500 + len(waits)) + " " * len(waits))

    monkeypatch.setattr("cepheid.runtime.rules_watcher.time.sleep", sleep)
    assert RulesWatcher(RulesFolder(tmp_path, poll="1h"), set()).first() == ({}, set())
    assert waits == [1.0] * 5


def test_rules_that_read_each_other_go_together(shop):
    shop.write("a.json", large())
    shop.write("b.json", large(topic="a"))
    shop.write("c.json", large(topic="b"))
    with shop.app.test() as test:
        for name in "abc":
            (shop.path / f"{name}.json").rename(shop.path / f"{name}.json.disabled")
        shop.look()
        assert shop.disabled == {"a", "b", "c"}
        for name in "abc":
            (shop.path / f"{name}.json.disabled").rename(shop.path / f"{name}.json")
        shop.look()
        assert shop.disabled == set()
        test.publish("order", amount=900)
        test.advance("1m")
        assert len(test.events("c")) == 1
        for name in "abc":
            (shop.path / f"{name}.json").unlink()
        shop.look()
        shop.look()
        assert shop.app.rules == ()
        assert not [change for change in shop.changes(test) if change[0] == "refused"]


def test_a_rule_that_somebody_disabled_stays_so_when_its_file_changes(shop):
    shop.write("large.json", large())
    with shop.app.test() as test:
        shop.app.disable("large")
        shop.write("large.json", event("a", "amount > 7", topic="order").to_json())
        shop.look()
        assert ("replaced", "large") in shop.changes(test)
        assert shop.disabled == {"large"}
        test.publish("order", amount=900)
        assert test.events("large") == []
        shop.app.enable("large")
        assert shop.disabled == set()


def test_a_rule_that_had_failed_runs_again_once_its_file_is_mended(shop):
    late = event("a", topic="order") >> cep.absent(event("b", topic="paid"), for_="1m")
    shop.write("late.json", late.select(x="100 / a.amount").to_json())
    with shop.app.test() as test:
        test.publish("order", amount=0)
        test.advance("2m")
        assert shop.disabled == {"late"}
        shop.write("late.json", late.select(x="a.amount").to_json())
        shop.look()
        assert shop.disabled == set()
        test.publish("order", amount=0)
        test.advance("2m")
        assert len(test.events("late")) == 1


def test_a_new_file_that_is_disabled_has_never_run(shop, monkeypatch):
    with shop.app.test() as test:
        test.publish("order", amount=900)
        seen, change_rules = [], shop.app._running.change_rules

        def told(*arguments, **options):
            change_rules(*arguments, **options)
            seen.append((arguments[0], shop.disabled, len(shop.app._running.pipeline.rules.engines[-1])))

        monkeypatch.setattr(type(shop.app._running), "change_rules", lambda _, *args, **options: told(*args, **options))
        shop.write("large.json.disabled", large())
        shop.look()
        assert seen == [("added", {"large"}, 0), ("disabled", {"large"}, 0)]


def test_a_file_whose_rule_was_refused_goes_without_a_word(tmp_path):
    shop = Shop(tmp_path, event("a", topic="order").named("own"))
    with shop.app.test() as test:
        test.publish("order", amount=900)
        shop.write("own.json", large())
        shop.write("odd.json", event("a", "missing > 5", topic="order").to_json())
        shop.look()
        told = [("added", "own"), ("refused", "odd"), ("refused", "own")]
        assert shop.changes(test) == told
        for name in ("own", "odd"):
            (shop.path / f"{name}.json").unlink()
        shop.look()
        shop.look()
        assert shop.changes(test) == told
        assert shop.app.rules == ("own",)


@pytest.mark.parametrize("while_it_ran", [False, True])
def test_a_file_that_was_enabled_while_no_app_ran_enables_its_rule(tmp_path, while_it_ran):
    folder = tmp_path / "rules"
    folder.mkdir()
    off, on = folder / "large.json.disabled", folder / "large.json"
    (on if while_it_ran else off).write_text(large())

    def app():
        made = cep.App("shop", store=tmp_path / "shop.db")
        made.rules_from(folder, poll="1h")
        return made

    def look(running):
        running._running._watcher.look(running._running)

    with app() as first:
        if while_it_ran:
            on.rename(off)
            look(first)
            look(first)
        assert first._running.pipeline.rules.disabled == {"large"}
    off.rename(on)
    with app() as second:
        assert second._running.pipeline.rules.disabled == frozenset()
        second.send({"type": "order", "amount": 900}).wait()
        assert second.store.read("large").to_arrow().num_rows == 1
        second.disable("large")
    with app() as third:
        assert third._running.pipeline.rules.disabled == {"large"}, "it is not the file that disabled it"
        kinds = third.store.read("cepheid.rule").to_arrow()["kind"].to_pylist()
    assert kinds == ["added", *(["disabled"] if while_it_ran else []), "enabled", "disabled"]


def test_a_change_that_the_disk_had_no_room_for_is_made_once_there_is(tmp_path, monkeypatch, caplog):
    app = cep.App("shop")
    app.rules_from(tmp_path, poll="10ms")
    with app:
        running, tried = app._running, []
        change_rules = running.change_rules

        def full(*arguments, **options):
            tried.append(arguments[:2])
            if len(tried) <= 3:
                raise cep.StoreError("there is no space left", code="disk-full")
            change_rules(*arguments, **options)

        monkeypatch.setattr(running, "change_rules", full)
        # It is whole at once.
        (tmp_path / "new").write_text(large())
        (tmp_path / "new").rename(tmp_path / "large.json")
        for _ in range(2000):
            if app.rules == ("large",):
                break
            time.sleep(0.01)
        assert app.rules == ("large",)
        assert tried == [("added", "large")] * 4
        assert "there is no space left" in caplog.text
        # The rule is there a moment before that is written down.
        assert app.drain("10s")
        kinds = app.store.read("cepheid.rule").to_arrow()["kind"].to_pylist()
    assert kinds == ["added"]


WRONG = {
    "an app's own, read": ("odd", event("a", "amount > 5", topic="cepheid.action")),
    "an app's own, derived": ("cepheid.clock", event("a", "amount > 5", topic="order")),
    "an app's own, emitted": ("odd", event("a", "amount > 5", topic="order").emit("cepheid.rejected")),
    "a pattern of names": ("odd", event("a", "amount > 5", topic="order").emit("large.*")),
    "a name that cannot be stored": ("odd", event("a", "amount > 5", topic="order").emit("ü" * 200)),
}


@pytest.mark.parametrize(("name", "rule"), WRONG.values(), ids=list(WRONG))
@pytest.mark.parametrize("running", [False, True])
def test_a_rule_reads_and_derives_what_an_app_can_give_and_store(tmp_path, name, rule, running):
    shop = Shop(tmp_path)
    for made in (lambda: cep.App("shop", rule.named(name)), lambda: shop.app.add(rule.named(name))):
        with pytest.raises(cep.AppError) as caught:
            made()
        assert caught.value.code == "rule-topic"
    if not running:
        shop.write(f"{name}.json", rule.to_json())
    with shop.app.test() as test:
        if running:
            shop.write(f"{name}.json", rule.to_json())
            shop.look()
        else:
            # Nobody follows the folder in a test.
            [change] = shop.app._running._watcher.refused
            assert change.name == name
        test.publish("order", amount=900)
        assert shop.app.rules == ()
        assert test.store.info().topics.keys() == ({"cepheid.rule", "order"} if running else {"order"})
