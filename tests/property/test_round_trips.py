"""Whatever a pattern is written as, reading it gives the pattern again."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from collections import Counter
from decimal import Decimal

from generated import EXAMPLES, PROFILE, algebra_patterns, sql_patterns
from hypothesis import given

import cepheid as cep
from cepheid import Pattern, col, event, prev

NAMES = {"cep": cep, "col": col, "event": event, "prev": prev, "dt": dt, "datetime": dt, "Decimal": Decimal}


def check_round_trips(pattern: Pattern) -> None:
    data = pattern.to_dict()
    assert Pattern.from_dict(data) == pattern
    assert Pattern.from_dict(json.loads(json.dumps(data))).to_dict() == data
    text = pattern.to_json()
    again = Pattern.from_json(text)
    assert again == pattern
    assert again.to_json() == text
    assert again.fingerprint == pattern.fingerprint
    assert pickle.loads(pickle.dumps(pattern)) == pattern
    spelled = eval(repr(pattern), dict(NAMES))
    assert spelled == pattern, repr(pattern)
    assert spelled.fingerprint == pattern.fingerprint
    assert repr(spelled) == repr(pattern)


def test_patterns_of_the_algebra_survive_data_json_pickle_and_repr() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(pattern=algebra_patterns())
    def check(pattern: Pattern) -> None:
        check_round_trips(pattern)
        seen["examples"] += 1
        seen["larger"] += len(pattern.variables) > 2
        text = pattern.to_json()
        for word in ("absent", "bounded", "until", "topics", "having", "emit_at", "timeouts"):
            seen[word] += f'"{word}"' in text

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["larger"] >= EXAMPLES / 4, seen
    for word in ("absent", "bounded", "until", "topics", "having", "emit_at", "timeouts"):
        assert seen[word] >= EXAMPLES / 60, seen


def test_patterns_of_sql_survive_data_json_pickle_repr_and_sql() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(pattern=sql_patterns())
    def check(pattern: Pattern) -> None:
        sql = pattern.to_sql()
        again = cep.pattern_from_sql(sql)
        assert again == pattern, sql
        assert again.to_sql() == sql
        check_round_trips(pattern)
        seen["examples"] += 1
        seen["with conditions"] += "DEFINE" in sql

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["with conditions"] >= EXAMPLES / 20, seen
