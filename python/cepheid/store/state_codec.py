"""States as bytes: JSON, in which what JSON has no word for is written so that it reads as it was."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from cepheid.errors import StoreError

__all__ = ["Decode", "Encode", "checked_codec", "decode_state", "decoded", "encode_state", "encoded"]

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

# What stands for a value of another type: an object of this one key.
_TAG = "$"

_TO_TEXT: dict[type, Callable[[Any], Any]] = {
    dt.datetime: lambda value: value.isoformat(),
    dt.date: lambda value: value.isoformat(),
    dt.time: lambda value: value.isoformat(),
    dt.timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    uuid.UUID: str,
    bytes: lambda value: value.hex(),
}
_FROM_TEXT: dict[str, Callable[[Any], Any]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
    "Decimal": Decimal,
    "UUID": uuid.UUID,
    "bytes": bytes.fromhex,
}


def encode_state(state: Any) -> bytes:
    """A state as JSON. What is read of it equals it: tuples stay tuples, and keys that are numbers stay numbers.

    Raises:
        StoreError: It holds something of another type than those of JSON, times, decimals, UUIDs, bytes, tuples and
            sets (code ``state-encoding``).
    """
    return json.dumps(_plain(state), ensure_ascii=False, separators=(",", ":")).encode()


def decode_state(data: bytes) -> Any:
    """The state that `encode_state` wrote."""
    return json.loads(data, object_hook=_object)


def checked_codec(encode: Any, decode: Any) -> tuple[Encode, Decode]:
    """A pair of functions, or ours.

    Raises:
        TypeError: One of them is no function.
        StoreError: One is given without the other (code ``store-option``).
    """
    if encode is None and decode is None:
        return encode_state, decode_state
    if encode is None or decode is None:
        raise StoreError("give `encode` and `decode` both, or none of them", code="store-option")
    for name, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise TypeError(f"{name} is a function, not {type(function).__name__}")
    return encode, decode


def encoded(encode: Encode, state: Any, whose: str) -> bytes:
    """What a user's function makes of a state, or ours.

    Raises:
        StoreError: It fails, or gives no bytes (code ``state-encoding``).
    """
    try:
        data = encode(state)
    except StoreError:
        raise
    except Exception as error:
        raise _failed(f"the state of {whose} cannot be encoded: {type(error).__name__}: {error}") from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise _failed(f"`encode` of {whose} gives bytes, not {type(data).__name__}")
    return bytes(data)


def decoded(decode: Decode, data: bytes, whose: str) -> Any:
    """The state that bytes mean.

    Raises:
        StoreError: They cannot be read (code ``state-encoding``).
    """
    try:
        return decode(data)
    except Exception as error:
        raise _failed(
            f"the saved state of {whose} cannot be decoded: {type(error).__name__}: {error}; "
            "if its form has changed, give the fold another `version`"
        ) from error


def _failed(message: str) -> StoreError:
    return StoreError(message, code="state-encoding")


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_plain(item) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value) and not (len(value) == 1 and _TAG in value):
            return {key: _plain(item) for key, item in value.items()}
        return {_TAG: ["dict", [[_plain(key), _plain(item)] for key, item in value.items()]]}
    if kind in (tuple, set, frozenset):
        # Sets in an order of their own, so that equal states are equal bytes.
        items = [_plain(item) for item in value]
        return {_TAG: [kind.__name__, items if kind is tuple else sorted(items, key=repr)]}
    if kind in _TO_TEXT:
        return {_TAG: [kind.__name__, _TO_TEXT[kind](value)]}
    raise _failed(f"a state holds a {kind.__module__}.{kind.__qualname__}, which JSON has no word for: give `encode` "
                  "and `decode`, or keep it as numbers, text, lists and dicts")  # fmt: skip


def _object(found: dict[str, Any]) -> Any:
    if len(found) != 1 or _TAG not in found:
        return found
    kind, value = found[_TAG]
    if kind == "dict":
        return dict(value)
    if kind in ("set", "frozenset", "tuple"):
        return {"set": set, "frozenset": frozenset, "tuple": tuple}[kind](value)
    return _FROM_TEXT[kind](value)
