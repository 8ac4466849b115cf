"""Workflows: steps that are done once, and undone when they cannot be done to the end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import pickle
import subprocess
import sys
import threading

import pytest
from acting import Remembered, context, order
from hypothesis import given, settings
from hypothesis import strategies as st

import cepheid as cep
from cepheid.actions import Action, GivesUp, Step, Workflow, WorkflowError, is_coroutine_action


class Killed(BaseException):
    """Stands for the end of the process."""


class World:
    """What steps do things to: each is done once a key, however often it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.there: list[str] = []
        self.fails: dict[str, list[BaseException]] = {}

    def act(self, what: str, key: str, change) -> None:
        self.calls.append((what, key))
        if waiting := self.fails.get(what):
            raise waiting.pop(0)
        change()

    def step(self, name: str, *, undo: bool = True, **options) -> Step:
        def do(event, told, results):
            self.act(name, told.key, lambda: self.there.append(name))
            return {"of": event["order"], "before": list(results)}

        def take_back(event, told, results):
            self.act(f"undo {name}", told.key, lambda: name in self.there and self.there.remove(name))

        return Step(name, do, take_back if undo else None, **options)

    def made(self, what: str) -> int:
        return len([call for call in self.calls if call[0] == what])


def permanent(text="no"):
    return cep.ActionError(text, permanent=True)


def flow(world, *names, **options):
    return Workflow("booking", [world.step(name, **options) for name in names])


@pytest.fixture
def memory(tmp_path):
    return Remembered(tmp_path)


def test_steps_are_done_in_order_with_what_the_others_gave(memory):
    world = World()
    action = flow(world, "reserve", "charge", "send")
    assert isinstance(action, Action)
    assert isinstance(action, GivesUp)
    results = action(order(), context(memory=memory))
    assert results == {
        "reserve": {"of": 7, "before": []},
        "charge": {"of": 7, "before": ["reserve"]},
        "send": {"of": 7, "before": ["reserve", "charge"]},
    }
    assert world.calls == [("reserve", "key-1/reserve"), ("charge", "key-1/charge"), ("send", "key-1/send")]
    # Told again, after a crash before the app has noted that it succeeded.
    assert action(order(), context(memory=memory, attempt=2)) == results
    assert len(world.calls) == 3


def test_another_attempt_goes_on_with_the_step_that_failed(memory):
    world = World()
    world.fails = {"charge": [OSError("down"), cep.ActionError("busy", retry_after=3)]}
    for attempt, error in ((1, OSError), (2, cep.ActionError)):
        with pytest.raises(error):
            flow(world, "reserve", "charge")(order(), context(memory=memory, attempt=attempt))
    flow(world, "reserve", "charge")(order(), context(memory=memory, attempt=3))
    assert (world.made("reserve"), world.made("charge")) == (1, 3)
    assert world.there == ["reserve", "charge"]
    assert {key for what, key in world.calls if what == "charge"} == {"key-1/charge"}


def test_a_step_that_cannot_be_done_has_the_others_undone_in_reverse(memory):
    world = World()
    world.fails = {"send": [permanent("no such address")]}
    with pytest.raises(WorkflowError) as caught:
        flow(world, "reserve", "charge", "send", "thank")(order(), context(memory=memory))
    error = caught.value
    assert (error.code, error.permanent, error.state, error.step, error.failed) == (
        "workflow-compensated",
        True,
        "compensated",
        "send",
        (),
    )
    assert "send" in str(error)
    assert "no such address" in str(error)
    assert [call[0] for call in world.calls] == ["reserve", "charge", "send", "undo charge", "undo reserve"]
    assert world.calls[-1] == ("undo reserve", "key-1/reserve/undo")
    assert world.there == []
    again = pickle.loads(pickle.dumps(error))
    assert (again.state, again.step, again.failed, again.permanent) == ("compensated", "send", (), True)


def test_steps_without_a_way_back_are_passed_over(memory):
    world = World()
    world.fails = {"c": [permanent()]}
    action = Workflow("w", [world.step("a"), world.step("b", undo=False), world.step("c")])
    with pytest.raises(WorkflowError):
        action(order(), context(memory=memory))
    assert [call[0] for call in world.calls] == ["a", "b", "c", "undo a"]


def test_the_app_giving_up_has_done_steps_undone(memory):
    world = World()
    world.fails = {"charge": [OSError("down")]}
    action = flow(world, "reserve", "charge")
    with pytest.raises(OSError, match="down") as caught:
        action(order(), context(memory=memory))
    for _ in range(2):
        # It may be told twice.
        assert action.give_up(order(), context(memory=memory), caught.value) is None
    assert [call[0] for call in world.calls] == ["reserve", "charge", "undo reserve"]


def test_giving_up_on_what_has_not_begun_or_is_done_undoes_nothing(tmp_path):
    world = World()
    action = flow(world, "reserve")
    for number, begin in enumerate((False, True)):
        (tmp_path / str(number)).mkdir()
        memory = Remembered(tmp_path / str(number))
        if begin:
            action(order(), context(memory=memory))
        action.give_up(order(), context(memory=memory), OSError())
    assert [call[0] for call in world.calls] == ["reserve"]


def test_undoing_is_tried_again_where_it_stopped(memory):
    world = World()
    world.fails = {
        "c": [permanent()],
        "undo b": [OSError("down"), cep.ActionError("busy", retry_after=9.0)],
        "undo a": [RuntimeError()],
    }
    waits = []
    for attempt in itertools.count(1):
        with pytest.raises(WorkflowError) as caught:
            flow(world, "a", "b", "c")(order(), context(memory=memory, attempt=attempt))
        if caught.value.permanent:
            break
        assert (caught.value.code, caught.value.state) == ("workflow-compensating", "compensating")
        waits.append((caught.value.step, caught.value.retry_after))
    assert waits == [("b", None), ("b", 9.0), ("a", None)]
    assert caught.value.code == "workflow-compensated"
    assert (world.made("a"), world.made("b"), world.made("c"), world.made("undo b"), world.made("undo a")) == (
        1,
        1,
        1,
        3,
        2,
    )
    assert world.there == []


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone_all_the_same(memory):
    world = World()
    world.fails = {"d": [permanent()], "undo c": [permanent("gone")], "undo a": [permanent("gone")]}
    action = flow(world, "a", "b", "c", "d")
    with pytest.raises(WorkflowError) as caught:
        action(order(), context(memory=memory))
    assert (caught.value.code, caught.value.permanent, caught.value.state) == (
        "workflow-compensation-failed",
        True,
        "compensation-failed",
    )
    assert caught.value.failed == ("c", "a")
    assert world.there == ["a", "c"]
    # The app gives it to the dead letters.
    error = caught.value
    with pytest.raises(WorkflowError) as caught:
        action.give_up(order(), context(memory=memory), error)
    assert caught.value.failed == ("c", "a")
    assert world.made("undo a") == 1
    # Somebody asks for it again: what is left is undone, and then it is done anew.
    with pytest.raises(WorkflowError) as caught:
        action(order(), context(memory=memory))
    assert (caught.value.state, world.there) == ("compensated", [])
    assert world.made("undo b") == 1
    action(order(), context(memory=memory))
    assert world.there == ["a", "b", "c", "d"]
    assert world.calls[-1] == ("d", "key-1/2/d")


def test_one_that_was_undone_and_is_asked_for_again_runs_anew_under_other_keys(memory):
    world = World()
    world.fails = {"b": [permanent()]}
    action = flow(world, "a", "b")
    with pytest.raises(WorkflowError):
        action(order(), context(memory=memory))
    action(order(), context(memory=memory))
    assert world.there == ["a", "b"]
    assert [key for what, key in world.calls if what == "a"] == ["key-1/a", "key-1/2/a"]


@pytest.mark.parametrize(
    ("errors", "undone"),
    [
        ([OSError("timeout")], True),
        ([permanent()], False),
        ([OSError("timeout"), permanent()], True),
        ([Killed(), permanent()], True),
    ],
)
def test_a_step_that_may_have_been_done_is_undone_if_it_can_bear_that(memory, errors, undone):
    world = World()
    world.fails = {"charge": list(errors)}
    action = Workflow("w", [world.step("reserve"), world.step("charge", undo_if_unsure=True)])
    for attempt, error in enumerate(errors, 1):
        with pytest.raises((WorkflowError, type(error))):
            action(order(), context(memory=memory, attempt=attempt))
    with contextlib.suppress(WorkflowError):
        action.give_up(order(), context(memory=memory), errors[-1])
    assert world.made("undo charge") == undone
    assert world.made("undo reserve") == 1


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"x", "x" * 300_000, order()])
def test_a_result_that_cannot_be_remembered_is_a_mistake_and_what_was_done_is_undone(memory, value):
    undone = []
    step = Step("a", lambda event, told, results: value, lambda event, told, results: undone.append(dict(results)))
    with pytest.raises(WorkflowError) as caught:
        Workflow("w", [step])(order(), context(memory=memory))
    assert caught.value.state == "compensated"
    assert caught.value.__cause__.code == "workflow-result"
    assert undone == [{"a": None}]


def test_results_are_the_same_before_and_after_a_restart(memory):
    seen = []

    def look(event, told, results):
        seen.append(dict(results))
        if len(seen) == 1:
            raise OSError

    steps = [Step("a", lambda event, told, results: {"x": (1, 2), 3: None}), Step("b", look)]
    with pytest.raises(OSError):  # noqa: PT011
        Workflow("w", steps)(order(), context(memory=memory))
    Workflow("w", steps)(order(), context(memory=memory, attempt=2))
    assert seen == [{"a": {"x": [1, 2], "3": None}}] * 2


def test_a_step_cannot_change_what_the_others_gave(memory):
    def change(event, told, results):
        results["a"] = 5

    with pytest.raises(TypeError):
        Workflow("w", [Step("a", lambda *_: 1), Step("b", change)])(order(), context(memory=memory))


@pytest.mark.parametrize(
    "remembered",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"format":2}', b'{"format":1,"state":"done"}', None],
)
def test_what_is_remembered_of_another_workflow_is_refused_and_nothing_is_called(memory, remembered):
    world = World()
    if remembered is None:
        flow(world, "a", "renamed")(order(), context(memory=memory))
    else:
        memory.put("workflow", remembered)
    before = len(world.calls)
    for call in (flow(world, "a", "b"), lambda *given: flow(world, "a", "b").give_up(*given, OSError())):
        with pytest.raises(cep.ActionError) as caught:
            call(order(), context(memory=memory))
        assert (caught.value.code, caught.value.permanent) == ("workflow-memory", True)
    assert len(world.calls) == before


def test_steps_may_be_added_behind_the_others_while_events_are_under_way(memory):
    world = World()
    world.fails = {"b": [OSError()]}
    with pytest.raises(OSError):  # noqa: PT011
        flow(world, "a", "b")(order(), context(memory=memory))
    flow(world, "a", "b", "c")(order(), context(memory=memory, attempt=2))
    assert world.there == ["a", "b", "c"]


def test_memory_that_cannot_be_written_fails_the_attempt_and_the_step_is_done_again_with_its_key(memory):
    world = World()
    put = memory.put

    def fail(name, value):
        raise OSError("disk full")

    memory.put = fail
    with pytest.raises(OSError, match="disk full"):
        flow(world, "a", "b")(order(), context(memory=memory))
    memory.put = put
    flow(world, "a", "b")(order(), context(memory=memory, attempt=2))
    assert [key for what, key in world.calls if what == "a"] == ["key-1/a"] * 2
    assert world.made("b") == 1


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_fails_whenever_it_ends_with_all_of_it_done_or_nothing(data, tmp_path_factory):
    """Each call may fail for good, fail for now, or be the last before the process ends, before or behind its work."""
    names = ["a", "b", "c"]
    memory = Remembered(tmp_path_factory.mktemp("memory"))
    done: dict[str, str] = {}
    faults = data.draw(st.lists(st.sampled_from(["fine", "later", "never", "killed", "killed behind"]), max_size=14))
    undoing = False

    def perform(told, change):
        fault = faults.pop(0) if faults else "fine"
        if fault == "later":
            raise OSError
        if fault == "never" and not undoing:
            raise permanent()
        if fault == "killed":
            raise Killed
        change()
        if fault == "killed behind":
            raise Killed

    def step(name):
        def do(event, told, results):
            assert list(results) == names[: names.index(name)]
            perform(told, lambda: done.update({name: told.key}))
            return name

        def undo(event, told, results):
            nonlocal undoing
            undoing = True
            assert told.key == f"{done.get(name, told.key.removesuffix('/undo'))}/undo"
            perform(told, lambda: done.pop(name, None))
            undoing = False

        return Step(name, do, undo, undo_if_unsure=True)

    for attempt in range(1, 40):
        undoing = False
        try:
            Workflow("w", map(step, names))(order(), context(memory=memory, attempt=attempt))
        except WorkflowError as error:
            if error.permanent:
                assert error.state == "compensated"
                assert done == {}
                return
        except (OSError, Killed):
            pass
        else:
            assert sorted(done) == names
            return
    raise AssertionError("it did not end")


KILLED = """
import os, sys
sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from acting import Remembered, context, order
from cepheid import ActionError
from cepheid.actions import Step, Workflow
folder, die = Path(sys.argv[2]), sys.argv[3]
def act(what):
    def call(event, told, results):
        with open(folder / "calls", "a") as calls:
            calls.write(f"{what} {told.key}\\n")
        if what == die:
            os._exit(9)
        if what == "c":
            raise ActionError("no", permanent=True)
    return call
(folder / "memory").mkdir(exist_ok=True)
steps = [Step(name, act(name), act(f"undo-{name}")) for name in "abc"]
Workflow("w", steps)(order(), context(memory=Remembered(folder / "memory")))
"""


def test_a_process_that_dies_at_any_step_is_gone_on_with_by_the_next(tmp_path):
    for die in ["a", "b", "c", "undo-b", "undo-a", "nowhere"]:
        command = [sys.executable, "-c", KILLED, os.path.dirname(__file__), str(tmp_path), die]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == (1 if die == "nowhere" else 9), ended.stderr
    assert "WorkflowError" in ended.stderr
    calls = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
    # Each that was under way when the process died is done once more, and no other.
    assert calls == ["a", "a", "b", "b", "c", "c", "undo-b", "undo-b", "undo-a", "undo-a"]
    assert json.loads((tmp_path / "memory" / "workflow").read_bytes())["state"] == "compensated"


def test_steps_may_be_coroutines_and_others_are_called_in_threads(memory):
    world = World()
    threads = []

    async def charge(event, told, results):
        threads.append(threading.current_thread())
        await asyncio.sleep(0)
        return list(results)

    async def refund(event, told, results):
        world.calls.append(("refund", told.key))

    def blocking(event, told, results):
        threads.append(threading.current_thread())
        raise permanent()

    action = Workflow("w", [world.step("reserve"), Step("charge", charge, refund), Step("send", blocking)])
    assert action.is_coroutine
    assert is_coroutine_action(action)
    assert not is_coroutine_action(flow(world, "a"))
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(action(order(), context(memory=memory)))
    assert caught.value.state == "compensated"
    assert [call[0] for call in world.calls] == ["reserve", "refund", "undo reserve"]
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    asyncio.run(action.give_up(order(), context(memory=memory), OSError()))


def test_a_coroutine_that_is_cancelled_goes_on_at_the_next_attempt(memory):
    world = World()
    stuck = [True]

    async def wait(event, told, results):
        if stuck:
            await asyncio.sleep(60)

    action = Workflow("w", [world.step("a"), Step("b", wait)])

    async def attempt():
        await asyncio.wait_for(action(order(), context(memory=memory)), 0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(attempt())
    stuck.clear()
    asyncio.run(attempt())
    assert world.made("a") == 1


def test_something_to_await_where_none_was_announced_is_a_mistake(memory):
    async def later():
        pass

    with pytest.raises(TypeError, match="await"):
        Workflow("w", [Step("a", lambda *_: later())])(order(), context(memory=memory))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Workflow("w", []), cep.AppError),
        (lambda: Workflow("", [Step("a", print)]), cep.AppError),
        (lambda: Workflow(None, [Step("a", print)]), TypeError),
        (lambda: Workflow("w", [print]), TypeError),
        (lambda: Workflow("w", [Step("a", print), Step("a", print)]), cep.AppError),
        (lambda: Workflow("w", [Step(str(number), print) for number in range(101)]), cep.AppError),
        (lambda: Step("", print), cep.AppError),
        (lambda: Step(None, print), TypeError),
        (lambda: Step("a", None), TypeError),
        (lambda: Step("a", print, "undo"), TypeError),
        (lambda: Step("a", print, undo_if_unsure=True), cep.AppError),
    ],
)
def test_what_cannot_be_a_workflow_is_refused_when_it_is_made(make, error):
    with pytest.raises(error):
        make()
