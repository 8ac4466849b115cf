"""What events of a type have to say: a schema, in a version."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from cepheid import building
from cepheid.errors import SchemaError
from cepheid.expr import Expr
from cepheid.names import invalid_choice, listed_names, nearest_name
from cepheid.schema.envelope import ENVELOPE, STORE_COLUMNS, data_column, name_fault, topic_fault
from cepheid.schema.known import COLUMNS_MAX
from cepheid.schema.type_text import field_of, text_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EventSchema"]

_UNKNOWN: Final = ("keep", "drop", "reject")
_FORMAT = 1


@final
class EventSchema:
    """What events of a type have to say, in one version: a contract between those who send and those who read.

    A value that cannot be changed; equal to another that says the same.

    Args:
        type: The type, which is the topic: ``"order.created"``.
        columns: The columns of the data, by name, or a `pyarrow.Schema`. A type is a text (``bool``, ``int8`` to
            ``int64``, ``uint8`` to ``uint64``, ``float32``, ``float64``, ``string``, ``binary``, ``date``,
            ``timestamp``, ``time``, ``duration``, ``decimal(10,2)``, ``list<int64>``, ``json`` for any JSON, kept as
            text), a mapping for an object, a list of one type for an array, or a `pyarrow.DataType`.
        version: The version of the contract, from 1.
        required: Columns that must have a value. A field of a `pyarrow.Schema` that is not nullable is one of them.
        check: What must hold of each event, as an expression over its columns or SQL text; NULL does not hold.
        key: The column whose text becomes ``partitionkey``, where that is not said.
        subject: The column whose text becomes ``subject``, where that is not said.
        unknown: What becomes of fields that the schema does not have. ``"reject"``: the event goes to dead letters, so
            that a misspelt name is noticed, nobody adds columns from outside, and nothing is lost, for dead letters
            can be sent again; ``"drop"``: they are left out; ``"keep"``: they become columns, of the types that come
            first. Attributes beside the data (of CloudEvents, of ``metadata``) are never a reason to reject an event.
        description: What such an event means, in a sentence.
        owner: Who answers for it.
        example: The data of one event.

    Raises:
        TypeError: An argument is of the wrong type.
        SchemaError: The type, or a column, cannot be named so (code ``invalid-name``); a column has the name of one of
            the envelope (code ``reserved-column``) or no type that there is (code ``unknown-type``); `required`, `key`
            or `subject` name no column (code ``unknown-column``); a version below 1 (code ``schema-version``).
        PatternError: `unknown` is none of these words (code ``invalid-clause``), or `check` is no expression.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.schema import EventSchema
        >>> columns = {"order": "int64", "total": "decimal(10,2)", "lines": [{"sku": "string"}]}
        >>> created = EventSchema("order.created", columns, required=["order"], check="total >= 0", key="order")
        >>> created.columns["total"]
        'decimal(10,2)'
    """

    __slots__ = (
        "_arrow",
        "check",
        "description",
        "example",
        "key",
        "owner",
        "required",
        "subject",
        "type",
        "unknown",
        "version",
    )

    type: str
    version: int
    required: tuple[str, ...]
    check: Expr | None
    key: str | None
    subject: str | None
    unknown: str
    description: str
    owner: str
    example: Mapping[str, Any] | None
    _arrow: pa.Schema

    def __init__(
        self,
        type: str,
        columns: Mapping[str, Any] | pa.Schema,
        *,
        version: int = 1,
        required: Iterable[str] = (),
        check: str | Expr | None = None,
        key: str | None = None,
        subject: str | None = None,
        unknown: str = "reject",
        description: str = "",
        owner: str = "",
        example: Mapping[str, Any] | None = None,
    ) -> None:
        names = [required] if isinstance(required, str) else list(required)
        arrow = _columns(columns, names)
        for what, value in (("description", description), ("owner", owner)):
            if not isinstance(value, str):
                raise TypeError(f"{what} is a text, not {_name_of(value)}")
        if not isinstance(unknown, str) or unknown not in _UNKNOWN:
            raise invalid_choice("unknown", unknown, list(_UNKNOWN))
        if example is not None and not isinstance(example, Mapping):
            raise TypeError(f"example is a mapping of columns to values, not {_name_of(example)}")
        parts: dict[str, Any] = {
            "type": _checked_type(type),
            "version": _checked_version(version),
            "required": tuple(field.name for field in arrow if not field.nullable),
            "check": _checked_check(check),
            "key": _known(key, "key", arrow),
            "subject": _known(subject, "subject", arrow),
            "unknown": unknown,
            "description": description,
            "owner": owner,
            "example": None if example is None else copy.deepcopy(dict(example)),
            "_arrow": arrow,
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the data with their types, as texts, mappings and lists.

        Example:
            >>> from cepheid.schema import EventSchema
            >>> EventSchema("order.paid", {"order": "int64"}).columns
            {'order': 'int64'}
        """
        return {field.name: text_of(field) for field in self._arrow}

    @property
    def arrow(self) -> pa.Schema:
        """The columns of the data as Arrow has them; what is required is not nullable.

        Example:
            >>> from cepheid.schema import EventSchema
            >>> EventSchema("order.paid", {"order": "int64"}, required=["order"]).arrow.field("order")
            pyarrow.Field<order: int64 not null>
        """
        return self._arrow

    def to_dict(self) -> dict[str, Any]:
        """The schema as data, for a file or for others: JSON can hold it if it can hold the example.

        Example:
            >>> from cepheid.schema import EventSchema
            >>> EventSchema("order.paid", {"order": "int64"}, owner="tills").to_dict()["columns"]
            {'order': 'int64'}
        """
        data: dict[str, Any] = {"format": _FORMAT, "type": self.type, "version": self.version, "columns": self.columns}
        if self.required:
            data["required"] = list(self.required)
        if self.check is not None:
            data["check"] = self.check.to_dict()
        for name in ("key", "subject", "description", "owner"):
            if value := getattr(self, name):
                data[name] = value
        if self.unknown != "reject":
            data["unknown"] = self.unknown
        if self.example is not None:
            data["example"] = copy.deepcopy(dict(self.example))
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> EventSchema:
        """The schema that data is of.

        Args:
            data: What `to_dict` gave. `check` may be SQL text instead, as somebody writes it by hand.

        Raises:
            SchemaError: It is no schema, or of a newer format (code ``malformed``); or as for `EventSchema`.

        Example:
            >>> from cepheid.schema import EventSchema
            >>> schema = EventSchema("order.paid", {"order": "int64"}, check="order > 0")
            >>> EventSchema.from_dict(schema.to_dict()) == schema
            True
        """
        if not isinstance(data, Mapping) or data.get("format", _FORMAT) != _FORMAT:
            raise _malformed(f"it is no mapping with `format` {_FORMAT}")
        given = {name: value for name, value in data.items() if name != "format"}
        allowed = {
            "type",
            "version",
            "columns",
            "required",
            "check",
            "key",
            "subject",
            "unknown",
            "description",
            "owner",
        }
        if unknown := sorted(map(str, set(given) - allowed - {"example"})):
            raise _malformed(f"it has {listed_names(unknown)}")
        if missing := sorted({"type", "columns"} - set(given)):
            raise _malformed(f"it lacks {listed_names(missing)}")
        check = given.get("check")
        if check is not None and not isinstance(check, str):
            given["check"] = Expr.from_dict(check)
        try:
            return EventSchema(given.pop("type"), given.pop("columns"), **given)
        except TypeError as error:
            raise _malformed(str(error)) from error

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("schemas cannot be changed; build another")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("schemas cannot be changed; build another")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EventSchema):
            return NotImplemented
        return self._arrow.equals(other._arrow, check_metadata=True) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.type, self.version, tuple(self._arrow.names)))

    def __reduce__(self) -> tuple[Any, ...]:
        return EventSchema.from_dict, (self.to_dict(),)

    def __repr__(self) -> str:
        parts = [repr(self.type), repr(self.columns)]
        if self.version != 1:
            parts.append(f"version={self.version}")
        if self.required:
            parts.append(f"required={list(self.required)!r}")
        if self.check is not None:
            parts.append(f"check={self.check!r}")
        for name in ("key", "subject", "unknown", "description", "owner", "example"):
            value = getattr(self, name)
            if value and (name, value) != ("unknown", "reject"):
                parts.append(f"{name}={value!r}")
        return f"EventSchema({', '.join(parts)})"


def _name_of(value: Any) -> str:
    return str(value.__class__.__name__)


def _malformed(why: str) -> SchemaError:
    return SchemaError(f"this is no schema of events: {why}", code="malformed")


def _checked_type(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the type of an event is a text, not {_name_of(value)}")
    if why := topic_fault(value):
        raise SchemaError(f"{value[:80]!r} cannot be the type of an event: {why}", code="invalid-name")
    return value


def _checked_version(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"a version is a whole number, not {_name_of(value)}")
    version = int(value.__index__())
    if not 1 <= version < 2**31:
        raise SchemaError(f"a version is a number from 1, not {version}", code="schema-version")
    return version


def _checked_check(check: Any) -> Expr | None:
    if check is None:
        return None
    if not isinstance(check, (str, Expr)):
        raise TypeError(f"check is an expression or SQL text, not {_name_of(check)}")
    return building.expression(check)


def _known(name: Any, what: str, arrow: pa.Schema) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"{what} is the name of a column, not {_name_of(name)}")
    if name not in arrow.names:
        raise _unknown_column(what, name, arrow.names)
    return name


def _unknown_column(what: str, name: str, known: list[str]) -> SchemaError:
    return SchemaError(
        f"{what} names `{name}`, which is no column of the schema (it has {listed_names(known)})",
        code="unknown-column",
        column=name,
        known=known,
        hint=nearest_name(name, known),
    )


def _columns(columns: Any, required: list[str]) -> pa.Schema:
    import pyarrow as pa

    if isinstance(columns, pa.Schema):
        pairs: list[tuple[Any, Any]] = [(field.name, field) for field in columns]
        required = [*required, *(field.name for field in columns if not field.nullable)]
    elif isinstance(columns, Mapping):
        pairs = list(columns.items())
    else:
        raise TypeError(f"columns is a mapping of names to types, or a pyarrow.Schema, not {_name_of(columns)}")
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column is named by a text, not {_name_of(name)}")
        if why := name_fault(name):
            raise SchemaError(f"{name[:80]!r} cannot be the name of a column: {why}", code="invalid-name")
        if name in ENVELOPE or name in STORE_COLUMNS:
            what = "of the envelope" if name in ENVELOPE else "that the store adds"
            raise SchemaError(
                f"`{name}` is a column {what}; a field `{name}` of the data is the column `{data_column(name)}`",
                code="reserved-column",
                column=name,
                hint=data_column(name),
            )
        if names.count(name) > 1:
            raise SchemaError(f"two columns are named `{name}`", code="invalid-name", column=name)
    if len(names) > COLUMNS_MAX:
        raise SchemaError(f"{len(names)} columns are more than {COLUMNS_MAX}", code="too-many-columns")
    for name in required:
        if not isinstance(name, str):
            raise TypeError(f"required names columns, not {_name_of(name)}")
        if name not in names:
            raise _unknown_column("required", name, names)
    return pa.schema([field_of(name, kind, nullable=name not in required) for name, kind in pairs])


def example_bytes(schema: EventSchema) -> int:
    """How many bytes the example has as JSON; 0 without one."""
    return 0 if schema.example is None else len(json.dumps(schema.example, default=str).encode())
