"""Whether one version of a schema can be read as another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.schema.event_schema import EventSchema

__all__ = ["COMPATIBILITY", "incompatibilities"]

#: Who must be able to read what: new readers old events, old readers new events, both, or neither.
COMPATIBILITY = ("backward", "forward", "full", "none")


def incompatibilities(old: EventSchema, new: EventSchema, mode: str) -> list[str]:
    """Every reason why a version does not go with the one before it; none: it does.

    Checks are not compared: each version's is asked of its own events.

    Args:
        old: The version before.
        new: The version.
        mode: One of `COMPATIBILITY`.
    """
    reasons: list[str] = []
    if mode in ("backward", "full"):
        reasons += _unreadable(old.arrow, new.arrow, "events of the version before")
    if mode in ("forward", "full"):
        reasons += _unreadable(new.arrow, old.arrow, "events of the new version")
    return reasons


def _unreadable(written: pa.Schema, read: pa.Schema, whose: str) -> list[str]:
    """Why events that were written with one schema cannot be read with another."""
    reasons = []
    for field in read:
        if field.name not in written.names:
            if not field.nullable:
                reasons.append(f"`{field.name}` is required, and {whose} do not have it")
            continue
        own = written.field(field.name)
        if not field.nullable and own.nullable:
            reasons.append(f"`{field.name}` is required, and {whose} may lack it")
        if not _holds(field, own):
            reasons.append(f"`{field.name}` is {_shown(field)}, which cannot hold the {_shown(own)} of {whose}")
    return reasons


def _shown(field: pa.Field) -> str:
    from cepheid.schema.type_text import text_of

    return str(text_of(field))


def _holds(wide: pa.Field, narrow: pa.Field) -> bool:
    """Whether a type holds every value of another."""
    import pyarrow as pa

    from cepheid.schema.envelope import is_json_field

    types, to, of = pa.types, wide.type, narrow.type
    if is_json_field(wide) or is_json_field(narrow):
        # A text that is no JSON has another meaning than a text that is.
        return is_json_field(wide) and (is_json_field(narrow) or not types.is_string(of))
    if to == of:
        return True
    if types.is_integer(to) and types.is_integer(of):
        if types.is_signed_integer(to) == types.is_signed_integer(of):
            return bool(to.bit_width >= of.bit_width)
        return bool(types.is_signed_integer(to) and to.bit_width > of.bit_width)
    if types.is_floating(to) and types.is_floating(of):
        return bool(to.bit_width >= of.bit_width)
    if types.is_floating(to) and types.is_integer(of):
        # Past 2^53 the last digits go, as in Polars and DuckDB.
        return bool(to.bit_width == 64 or of.bit_width <= 16)
    if types.is_decimal(to) and types.is_decimal(of):
        return bool(to.scale >= of.scale and to.precision - to.scale >= of.precision - of.scale)
    if types.is_decimal(to) and types.is_integer(of):
        digits = len(str(2 ** (of.bit_width - types.is_signed_integer(of))))
        return bool(to.precision - to.scale >= digits)
    if types.is_timestamp(to) and types.is_timestamp(of):
        units = ["s", "ms", "us", "ns"]
        return bool((to.tz is None) == (of.tz is None) and units.index(to.unit) >= units.index(of.unit))
    if types.is_list(to) and types.is_list(of):
        return _holds(to.value_field, of.value_field)
    if types.is_struct(to) and types.is_struct(of):
        # An object may get new fields; one that it lost would be refused when it comes.
        own = {to.field(place).name: to.field(place) for place in range(to.num_fields)}
        parts = [of.field(place) for place in range(of.num_fields)]
        return all(part.name in own and _holds(own[part.name], part) for part in parts)
    return False
