"""Every way of writing a pattern down, held to give the same pattern again."""

import copy
import json
import pickle

import cepheid as cep
from cepheid import Pattern, absent, col, event, prev

NAMES = {"cep": cep, "col": col, "prev": prev, "event": event, "absent": absent}


def check_written_down(pattern, code):
    """The pattern's repr is this code, which builds it, and data, JSON, pickle and copies give it again."""
    assert repr(pattern) == code
    again = eval(code, dict(NAMES))
    assert again == pattern
    assert again.fingerprint == pattern.fingerprint
    assert hash(again) == hash(pattern)
    data = pattern.to_dict()
    assert data["cepheid_ir"] == 1
    for read in (
        Pattern.from_dict(json.loads(json.dumps(data))),
        Pattern.from_json(pattern.to_json()),
        pickle.loads(pickle.dumps(pattern)),
        copy.deepcopy(pattern),
    ):
        assert read == pattern
        assert read.to_dict() == data
        assert read.fingerprint == pattern.fingerprint
        assert read.variables == pattern.variables
        assert eval(repr(read), dict(NAMES)) == pattern
    # Keys in another order, and defaults written out, are no difference.
    assert Pattern.from_dict({"cepheid_ir": 1, "pattern": pattern._lowered()}).to_dict() == data
    assert data["pattern"]["root"] == json.loads(json.dumps(pattern._lowered()["root"])), "built in normal form"


def root_of(pattern):
    """The row pattern as the engine reads it."""
    return pattern.to_dict()["pattern"]["root"]


def refused(build):
    """The error that building raises."""
    try:
        build()
    except cep.PatternError as error:
        return error
    raise AssertionError("nothing was refused")
