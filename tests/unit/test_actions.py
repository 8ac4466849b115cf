"""What actions share: functions, templates, events as JSON, and that none is read before it is asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import functools
import json
import math
import subprocess
import sys
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from acting import HOSTILE, NOW, context, order
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
import cepheid.actions as actions
from cepheid.actions import Action, Function, GivesUp, is_coroutine_action
from cepheid.actions.event_json import cloudevent, json_bytes, json_value, text_of
from cepheid.actions.template import Template


def test_every_name_is_there_and_no_package_is_read_for_the_others():
    assert len(actions.__all__) == 15
    for name in actions.__all__:
        assert getattr(actions, name).__name__ == name
    with pytest.raises(AttributeError):
        actions.Nothing  # noqa: B018
    code = (
        "import sys, cepheid.actions as a; a.Function(print); a.Command(['ls']); a.AppendFile('x')\n"
        "a.Workflow('w', [a.Step('s', print)]); import cepheid.actions.webhook, cepheid.actions.notify\n"
        "assert not {'httpx', 'apprise', 'cachetools'} & set(sys.modules), 'read'"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_optional_packages_an_error_names_what_to_install():
    code = (
        "import sys\nfor name in ('httpx', 'apprise', 'cachetools'): sys.modules[name] = None\n"
        "from cepheid.actions import Notify, Webhook\nfrom cepheid.runtime.cache import Cache\n"
        "for make, extra in ((lambda: Webhook('http://a/'), 'http'), (lambda: Notify('json://a', body='b'), 'notify'),"
        " (lambda: Cache(len), 'enrich')):\n"
        "    try: make()\n"
        "    except ImportError as error: assert f'cepheid[{extra}]' in str(error), error\n"
        "    else: raise AssertionError(extra)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Handler:
    def __init__(self):
        self.told = []

    def __call__(self, event, context):
        self.told.append(context.key)

    def method(self, event):
        self.told.append(event["order"])


class AsyncHandler:
    async def __call__(self, event):
        return event["order"]


def alone(event):
    return event["order"]


def told(event, context):
    return context.key


def optional(event, retries=3):
    return retries


def several(event, *rest, more=None):
    return len(rest)


async def later(event, context):
    return context.key


@pytest.mark.parametrize(
    ("function", "name", "result"),
    [
        (alone, "alone", 7),
        (told, "told", "key-1"),
        (optional, "optional", 3),
        (several, "several", 0),
        (functools.partial(told), "told", "key-1"),
        (functools.partial(optional, retries=5), "optional", 5),
        (Handler(), "Handler", None),
        (Handler().method, "method", None),
        (len, "len", 11),
        (dict.copy, "copy", order()),
        (later, "later", "key-1"),
        (AsyncHandler(), "AsyncHandler", 7),
        (functools.partial(later), "later", "key-1"),
    ],
)
def test_a_function_is_told_what_it_asks_for(function, name, result):
    action = Function(function)
    assert isinstance(action, Action)
    assert not isinstance(action, GivesUp)
    assert action.name == name
    given = action(order(), context())
    assert action.is_coroutine == hasattr(given, "__await__") == is_coroutine_action(action)
    assert (asyncio.run(given) if action.is_coroutine else given) == result


def test_a_function_may_be_named():
    assert Function(lambda event: None, name="mail").name == "mail"
    assert repr(Function(alone)) == "Function('alone')"


def yields(event):
    yield event


async def ayields(event):
    yield event


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (None, TypeError),
        ("alone", TypeError),
        (yields, TypeError),
        (ayields, TypeError),
        (lambda event: None, cep.AppError),
        (functools.partial(lambda event: None), cep.AppError),
        ((lambda: None), cep.AppError),
        (Handler.__call__, cep.AppError),
    ],
)
def test_what_cannot_be_called_with_an_event_is_refused_when_it_is_made(function, error):
    with pytest.raises(error):
        Function(function)


def test_one_that_takes_no_event_or_more_than_a_context_is_refused():
    def none():
        pass

    def keyword(*, event):
        pass

    def three(event, context, more):
        pass

    for function in (none, keyword, three):
        with pytest.raises(cep.AppError) as caught:
            Function(function)
        assert caught.value.code == "invalid-action"


class Colour(enum.Enum):
    RED = "r"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (2**80, str(2**80)),
        (0.1, "0.1"),
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (NOW, '"2026-01-02T03:04:05Z"'),
        (NOW.astimezone(dt.timezone(dt.timedelta(hours=5))), '"2026-01-02T03:04:05Z"'),
        (NOW.replace(microsecond=7), '"2026-01-02T03:04:05.000007Z"'),
        (NOW.replace(tzinfo=None), '"2026-01-02T03:04:05"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (dt.time(1, 2), '"01:02:00"'),
        (dt.timedelta(milliseconds=1500), "1.5"),
        (pd.Timestamp("2026-01-02T03:04:05.000000007", tz="UTC"), '"2026-01-02T03:04:05.000000007Z"'),
        (pd.NaT, '"NaT"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, '"r"'),
        (b"\xff\0", '"/wA="'),
        (bytearray(b"a"), '"YQ=="'),
        ([1, [2, (3,)]], "[1,[2,[3]]]"),
        ({"a": {"b": None}}, '{"a":{"b":null}}'),
        ({3}, "[3]"),
        (np.int64(3), "3"),
        (np.float32(1.5), "1.5"),
        (np.bool_(True), "true"),
        (np.array([[1, 2]]), "[[1,2]]"),
        (pa.scalar(NOW), '"2026-01-02T03:04:05Z"'),
        (pa.array([1, None]), "[1,null]"),
        ("\ud800", '"\\ud800"'),
        ("ü\u2028\n", '"ü\u2028\\n"'),
    ],
)
def test_values_have_one_json(value, written):
    made = json_bytes(value)
    assert made == written.encode()
    json.loads(made)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("value", [object(), 1j, {1: 2}, {"a": object()}, nested(101), nested(100_000), print])
def test_what_has_no_json_is_an_error_and_never_tried_again(value):
    for make in (json_bytes, json_value, text_of):
        with pytest.raises(cep.ActionError) as caught:
            make(value)
        assert (caught.value.code, caught.value.permanent) == ("event-json", True)
    assert json_value(nested(99))


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_what_json_has_comes_back_as_it_was(value):
    made = json_bytes(value)
    assert json.loads(made) == value
    assert b"\n" not in made


def test_a_cloudevent_has_what_it_must_have_and_data_that_is_no_envelope():
    assert cloudevent({}, topic="a.b", key="k") == {
        "specversion": "1.0",
        "id": "k",
        "type": "a.b",
        "source": "cepheid",
        "datacontenttype": "application/json",
        "data": {},
    }
    made = cloudevent(order(note=None), topic="a.b", key="k")
    assert list(made)[:5] == ["specversion", "id", "type", "source", "time"]
    assert made["data"] == {"order": 7, "total": 12.5, "note": None}
    assert {"subject", "causationid"}.isdisjoint(made)
    # The names that CloudEvents allows.
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in made)


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_value_says_is_never_read_as_a_template(value):
    assert Template("[{note}]").fill({"note": value}, "test") == f"[{value}]"
    assert Template("[{note:}]").fill({"note": value}, "test") == f"[{value}]"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("{{}}", "{}"),
        ("{a}{a}", "11"),
        ("{a:>4}|{b:.1f}|{c}", "   1|2.5|"),
        ("{c:>4}", ""),
        ("{t:%Y/%m}", "2026/01"),
        ("{odd name}", "x"),
        ("{d}", '{"x":[1]}'),
    ],
)
def test_a_template_is_filled(text, filled):
    event = {"a": 1, "b": 2.54, "c": None, "t": NOW, "odd name": "x", "d": {"x": [1]}}
    assert Template(text).fill(event, "test") == filled


@given(st.text(alphabet="{}!:.[]ab01 \n", max_size=12))
def test_any_text_is_a_template_or_is_refused(text):
    try:
        template = Template(text)
    except cep.AppError as error:
        assert error.code == "invalid-action"
        return
    event = dict.fromkeys(template.columns, "v")
    try:
        filled = template.fill(event, "test")
    except cep.ActionError as error:
        assert (error.code, error.permanent) == ("action-template", True)
    else:
        assert "{" not in filled or "{{" in text
