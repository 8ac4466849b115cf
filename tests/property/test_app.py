"""Whatever crashes when: an app comes to what it would have come to without.

Each case is an app and a story: events, some late and some that rules refuse, time that passes, repairs, dead letters
that are tried again or let go. It runs twice: undisturbed; and with crashes between any two things and in the middle of
commits, before the disk has it and after.
"""

import collections
import datetime as dt
import os
import random
from dataclasses import dataclass, field

import pytest

import cepheid as cep
from cepheid.store.event_store import EventStore

CASES = 10_000 if os.environ.get("CEPHEID_DEEP") else 40
PARTS = 6
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
RETRY = cep.Retry(3, first="1s", greatest="5s")


class Died(BaseException):
    """The process is gone."""


@dataclass
class Crashes:
    """Kills the app at some of its commits: before it is on the disk, or just after."""

    chance: random.Random
    every: int
    before: int = 0
    after: int = 0

    def commit(self, real, store, changes):
        turn = self.chance.randrange(self.every) if self.every else -1
        if turn == 0:
            self.before += 1
            raise Died
        made = real(store, changes)
        if turn == 1:
            self.after += 1
            raise Died
        return made

    @property
    def number(self):
        return self.before + self.after


@dataclass
class World:
    """What is outside of the app: how often things have failed, and what actions have done."""

    seed: int
    broken: bool = True
    tried: collections.Counter = field(default_factory=collections.Counter)
    told: list[tuple[str, str, int, int]] = field(default_factory=list)
    batched: list[int] = field(default_factory=list)

    def fails(self, handler, event):
        """Some fail once or twice, some until they are repaired."""
        fate = random.Random(f"{self.seed} {handler} {event['id']}").randrange(12)
        if fate == 0:
            return self.broken
        self.tried[handler, event["id"]] += 1
        return fate < 4 and self.tried[handler, event["id"]] <= fate

    def work(self, handler, event):
        if self.fails(handler, event):
            raise OSError(f"{handler} cannot")


def rules_of(chance):
    a = cep.event("a", "100 / v > 5", topic="in.a")
    b = cep.event("b", "v > 2", topic="in.b")
    all_rules = [
        (a >> b).within("60s").partition_by("k").select(v="b.v").named("pair"),
        (a >> cep.absent(b, for_="30s")).partition_by("k").select(v="a.v").named("gone"),
        cep.event("p", "v > 4", topic="pair").partition_by("k").select(v="p.v").named("large"),
        cep.event("o", "v > 6", topic="in.b").partition_by("k").select(v="o.v").named("high"),
    ]
    kept = [rule for rule in all_rules if chance.random() < 0.8] or all_rules[:1]
    if not any(rule.name == "pair" for rule in kept):
        kept = [rule for rule in kept if rule.name != "large"] or all_rules[:1]
    return kept


def make_app(seed, world):
    chance = random.Random(f"app {seed}")
    rules = rules_of(chance)
    app = cep.App("bank", rules, lateness="5s", quiet="20s", workers=chance.choice([1, 4]), checkpoint="15s")
    key = chance.choice([None, "k"])

    def note(event):
        world.work("note", event)
        for part in range(1 + event["v"] % 3):
            yield {"type": "out.note", "k": event["k"], "part": part, "of": event["id"], "time": event["time"]}

    async def letter(event):
        world.work("letter", event)
        return "out.letter", {"k": event["k"], "of": event["id"], "time": event["time"]}

    def total(table):
        world.batched.append(table.num_rows)
        return {"type": "out.total", "rows": table.num_rows, "topic": table["type"][0].as_py()}

    def tell(event, context):
        world.work("tell", event)
        world.told.append(("tell", str(event["k"]), context.position, context.attempt))

    def once(event):
        world.work("once", event)
        world.told.append(("once", str(event["v"]), 0, 0))

    places = ["pair", "gone", "large", "high", "in.a", "in.*"]
    app.on(chance.choice(places), key=key, concurrency=chance.choice([1, 3]), retries=RETRY, name="note")(note)
    app.on("out.note", key="k", retries=RETRY, where=chance.choice([None, "part < 2"]), name="letter")(letter)
    app.on(chance.choice(["in.>", "in.*", "pair"]), batch=True, name="total", where=chance.choice([None, "k > 0"]))(
        total
    )
    app.action(chance.choice(places), key="k", retries=RETRY, concurrency=2, name="tell")(tell)
    app.action("in.a", idempotent_by="v", retries=RETRY, key=key, priority=chance.randrange(10), name="once")(once)
    return app


def change_rule(app, what):
    """Changes a rule; to do so again changes nothing."""
    name = "extra" if what in ("add", "remove") else app.rules[0]
    version = cep.event("o", f"v > {7 if what == 'other' else 3}", topic="in.b").partition_by("k").select(v="o.v")
    if what in ("replace", "other") and name in ("gone", "high"):
        app.replace(name, version)
    elif what == "add" and name not in app.rules:
        app.add(version.named(name))
    elif what == "remove" and name in app.rules:
        app.remove(name)
    elif what in ("disable", "enable") and name in ("gone", "high"):
        getattr(app, what)(name)


def story_of(seed):
    """What happens: steps that a model needs no more of than their order."""
    chance = random.Random(f"story {seed}")
    number, steps = 0, [("publish", [("in.a", 0, 7, 0), ("in.b", 0, 1, 0)])]
    for _ in range(chance.randrange(6, 18)):
        kind = chance.choice(["publish"] * 7 + ["advance"] * 3 + ["repair", "retry", "discard", "rule"])
        if kind == "publish":
            rows = []
            for _ in range(chance.choice([1, 1, 2, 5])):
                back = chance.choice([0, 0, 1, 4, 3600])
                rows.append((chance.choice(["in.a", "in.b"]), chance.randrange(3), chance.randrange(9), back))
            steps.append(("publish", rows))
        elif kind == "advance":
            steps.append(("advance", chance.choice([1, 3, 10, 45])))
        elif kind == "rule":
            steps += [("settle", 60), (kind, chance.choice(["replace", "other", "disable", "enable", "add", "remove"]))]
            steps.append(("settle", 60))
        else:
            # Which letters are given up depends on the order of notes, which is no promise where they have no key.
            # In peace: how often things have failed before a crash is forgotten, and they may not be given up yet.
            steps += [("settle", 60), (kind, chance.choice(["note", "tell", "once"]))]
    steps += [("settle", 120), ("repair", "")]
    steps += [("retry", name) for name in ("note", "letter", "tell", "once")]
    numbered = []
    for kind, what in steps:
        if kind == "publish":
            rows = [(f"e-{number + place}", *row) for place, row in enumerate(what)]
            number += len(what)
            numbered.append((kind, rows))
        else:
            numbered.append((kind, what))
    return numbered


def is_stored(test, rows):
    """Whether what was published is there; all of it is, or nothing."""
    ids = {row[0] for row in rows}
    stored = {event["id"] for event in test.events("in.*")}
    for event in test.events("cepheid.rejected"):
        stored |= {one for one in ids if f'"{one}"'.encode() in event["payload"]}
    assert not ids & stored or ids <= stored, "a part of what was published together"
    return ids <= stored


def run(seed, crashes):
    """Runs a story; gives what has come of it."""
    world = World(seed)
    # How long is waited between attempts is drawn.
    random.seed(seed)
    app = make_app(seed, world)
    clock = cep.VirtualClock(START) if hasattr(cep, "VirtualClock") else None
    real = EventStore._commit

    def commit(store, changes):
        return crashes.commit(real, store, changes)

    with app.test(clock) as test:
        now = START

        def restart():
            """It dies while it starts, too."""
            begin = test.restart
            while True:
                EventStore._commit = commit
                try:
                    return begin()
                except Died:
                    begin = lambda: app._start_test(test._clock)  # noqa: E731
                finally:
                    EventStore._commit = real

        def survive(step, again):
            """Does something until it is done, however often the app dies meanwhile."""
            while True:
                try:
                    EventStore._commit = commit
                    return step()
                except Died:
                    EventStore._commit = real
                    restart()
                    if not again():
                        return None
                finally:
                    EventStore._commit = real

        for kind, what in story_of(seed):
            if crashes.every and kind not in ("settle", "rule") and crashes.chance.randrange(4) == 0:
                restart()
            if kind == "publish":
                events = [
                    {"type": topic, "id": name, "k": k, "v": v, "time": now - dt.timedelta(seconds=back)}
                    for name, topic, k, v, back in what
                ]
                survive(lambda e=events: test.publish(e), lambda w=what: not is_stored(test, w))
                survive(lambda: test.advance(to=test.now), lambda: True)
            elif kind == "advance":
                now += dt.timedelta(seconds=what)
                survive(lambda end=now: test.advance(to=end), lambda: True)
            elif kind == "settle":
                now += dt.timedelta(seconds=what)
                test.advance(to=now)
            elif kind == "repair":
                world.broken = False
            elif kind == "rule":

                def time_passes(end=now + dt.timedelta(seconds=30)):
                    # That the clock had moved on without anything to tell is forgotten; a rule that is changed then
                    # would be shown rows that have waited as new ones.
                    test.advance(to=end)
                    return True

                survive(lambda w=what: change_rule(app, w), time_passes)
            elif kind == "retry":
                # What was tried again when it died waits for the next to ask; the last does so in peace.
                for turn in range(1, 6):
                    survive(lambda w=what: app.retry(w), lambda: True)
                    end = now + dt.timedelta(seconds=20 * turn)
                    survive(lambda to=end: test.advance(to=to), lambda: True)
                app.retry(what)
                now += dt.timedelta(seconds=120)
                test.advance(to=now)
            else:
                survive(lambda w=what: app.discard(w), lambda: True)
        return outcome(app, test, world)


def outcome(app, test, world):
    """What has come of a story, without what may differ: when, and how rows were cut into batches."""
    found = {}
    for topic in ("in.a", "in.b", "in.a.late", "in.b.late", "pair", "gone", "large", "high", "extra"):
        found[topic] = test.events(topic)
    for topic in ("out.note", "out.letter"):
        events = test.events(topic)
        ids = [event["id"] for event in events]
        assert len(ids) == len(set(ids)), f"{topic} has results twice"
        found[topic] = {event["id"]: event for event in events}
    found["rows"] = collections.Counter()
    for event in test.events("out.total"):
        found["rows"][event["topic"]] += event["rows"]
    found["rejected"] = [(event["code"], event["payload"]) for event in test.events("cepheid.rejected")]
    found["letters"] = sorted(
        (letter.handler, letter.id, letter.key, letter.parked, letter.code) for letter in app.dead_letters()
    )
    done = [event for event in test.events("cepheid.action") if event["outcome"] == "done"]
    keys = [event["key"] for event in done]
    assert len(keys) == len(set(keys)), "an action is written down twice"
    found["done"] = {event["key"] for event in done if event["action"] == "tell"}
    found["once"] = {value for action, value, *_ in world.told if action == "once"}
    order = collections.defaultdict(list)
    position_to_id = {}
    for topic in ("in.a", "in.b", "pair", "gone", "large", "high"):
        if topic in test.store.info().topics:
            table = test.store.read(topic, metadata=True).to_arrow()
            position_to_id |= dict(zip(table["_position"].to_pylist(), table["id"].to_pylist(), strict=True))
    for action, key, position, _ in world.told:
        if action == "tell" and position_to_id[position] not in order[key]:
            order[key].append(position_to_id[position])
    found["told"] = dict(order)
    return found, len(world.told), {name: stats.waiting for name, stats in app.stats().handlers.items()}


def check(seed):
    calm, told, waiting = run(seed, Crashes(random.Random(0), 0))
    crashes = Crashes(random.Random(f"crash {seed}"), random.Random(f"rate {seed}").choice([6, 12, 40]))
    found, told_then, waiting_then = run(seed, crashes)
    for what, expected in calm.items():
        if what == "told":
            continue
        assert found[what] == expected, f"case {seed}: {what} after {crashes.number} crashes"
    assert set(found["told"]) == set(calm["told"])
    for key, ids in calm["told"].items():
        assert found["told"][key] == ids, f"case {seed}: order of key {key}"
    assert not any(waiting.values()), waiting
    assert not any(waiting_then.values()), waiting_then
    # Again only what a crash came between: two of one action, one of the other.
    assert told_then - told <= 3 * crashes.number
    return crashes, calm


@pytest.mark.parametrize("part", range(PARTS))
def test_an_app_that_crashes_comes_to_what_it_would_have_come_to(part):
    seen = collections.Counter()
    for seed in range(part, CASES, PARTS):
        crashes, calm = check(seed)
        seen.update(cases=1, before=crashes.before, after=crashes.after)
        seen.update(derived=len(calm["pair"]) + len(calm["gone"]), letters=len(calm["letters"]))
        seen.update(notes=len(calm["out.note"]), told=sum(map(len, calm["told"].values())))
        seen.update(late=len(calm["in.a.late"]), rejected=len(calm["rejected"]))
    assert seen["cases"] == len(range(part, CASES, PARTS))
    # None of it is empty.
    assert min(seen[what] for what in ("before", "after", "derived", "notes", "told", "late", "rejected")) > 0, seen
