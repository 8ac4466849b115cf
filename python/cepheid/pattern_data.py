"""What a pattern is, whoever built it: plain data, compared and hashed by what it says, lowered once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cepheid import nodes
from cepheid._native import Pattern as NativePattern
from cepheid.bounds import opened, whole_root
from cepheid.building import checked_name, json_text, not_serialisable, same_data
from cepheid.clauses import UNSET, clause_code, references
from cepheid.errors import PatternError
from cepheid.names import listed_names, nearest_name, resolve_name
from cepheid.nodes import Node
from cepheid.options import checked_count
from cepheid.pictures import Pictured
from cepheid.predicate import UserPredicate, predicate_column
from cepheid.root_spelling import NotSpellable, root_code
from cepheid.row_pattern import (
    PATTERN_DEPTH_MAX,
    Body,
    default_skip,
    lowered_root,
    measured,
    with_untils,
    without_plain_greed,
)
from cepheid.rule import NamedRule, NativeRule

if TYPE_CHECKING:
    from cepheid.drawing.graph import Graph


class PatternData(NativeRule, NamedRule, Pictured):
    """The tree of a pattern, the conditions of its events, its clauses, and all that can be asked of them."""

    __slots__ = ("_body", "_clauses", "_kept")

    _body: Body
    # As the engine reads them, but for `within`, which is a `Bounds`, and `define`, which says that there was one.
    _clauses: dict[str, Any]
    _kept: dict[str, Any]

    def __init__(self) -> None:
        raise TypeError("patterns are built with event(), seq(), all_of(), pattern_from_sql() or Pattern.from_dict()")

    @classmethod
    def _of(cls, body: Body, clauses: dict[str, Any] | None = None) -> Self:
        if body.depth > PATTERN_DEPTH_MAX:
            raise PatternError(
                f"the pattern has more than {PATTERN_DEPTH_MAX} levels of nesting",
                code="limit-exceeded",
                limit=PATTERN_DEPTH_MAX,
            )
        pattern = object.__new__(cls)
        for slot, value in (("_body", body), ("_clauses", clauses or {}), ("_kept", {})):
            object.__setattr__(pattern, slot, value)
        return pattern

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("patterns cannot be changed; their methods give new ones")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("patterns cannot be changed; their methods give new ones")

    # What it is.

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its events, absent ones too, in the order in which they are written.

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).variables
            ('a', 'b')
        """
        return self._body.variables

    @property
    def name(self) -> str | None:
        """The rule's name, or None.

        Example:
            >>> from cepheid import event
            >>> event("a").name is None
            True
        """
        return self._clauses.get("name")

    @property
    def fingerprint(self) -> str:
        """A hash of what the pattern says, the name apart: the version of the rule, as 64 hex digits.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 1").fingerprint == event("a", "x>1").named("rule").fingerprint
            True
        """
        return self._serialisable().fingerprint()

    def to_json(self) -> str:
        """The pattern as JSON, in its one normal spelling, with the version of the format.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_json(event("a").to_json())
            event('a')
        """
        return self._serialisable().to_json()

    def to_dict(self) -> dict[str, Any]:
        """The pattern as plain data: what `to_json` gives, parsed.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import event
            >>> event("a").to_dict()["pattern"]["root"]
            {'variable': 'a'}
        """
        data: dict[str, Any] = json.loads(self.to_json())
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave.

        Args:
            data: The dict.

        Raises:
            PatternError: It is no pattern (code ``malformed``), of a newer version (code ``wire-version``), or an
                impossible one.

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_dict(event("a").to_dict()) == event("a")
            True
        """
        if not isinstance(data, Mapping):
            raise PatternError(f"not a serialised pattern: {type(data).__name__} is no dict", code="malformed")
        return cls.from_json(json_text(dict(data), "a pattern"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` gave.

        Args:
            text: The JSON.

        Raises:
            TypeError: It is no string.
            PatternError: As for `from_dict`.

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_json(event("a").to_json()).variables
            ('a',)
        """
        if not isinstance(text, str):
            raise TypeError(f"JSON is text, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PatternError("not a serialised pattern: it holds a lone surrogate", code="malformed") from None
        return cls._from_native(NativePattern.from_json(text))

    def to_sql(self) -> str:
        """The pattern as an SQL ``MATCH_RECOGNIZE`` clause of the same meaning.

        The rule's name, the topic it emits and the columns that every derived event has are not part of the clause.
        `to_json` keeps everything.

        Raises:
            PatternError: SQL cannot say the pattern (code ``unsupported``; the message names what: a topic, `having`,
                `emit_at`, `ref()` to an event in its own condition, ...), it is impossible, or it holds a Python
                function (code ``not-serialisable``).

        Example:
            >>> from cepheid import event
            >>> print(event("a", "x > 1").to_sql())
            MATCH_RECOGNIZE (
              ONE ROW PER MATCH
              AFTER MATCH SKIP PAST LAST ROW
              PATTERN ("a")
              DEFINE "a" AS x > 1
            )
        """
        return self._serialisable().to_sql()

    def explain(self, data: Any = None) -> str:
        """The plan in prose: the strategy and why, its complexity, its bound on state.

        Args:
            data: A table or an Arrow schema, to have the types of columns checked as well.

        Raises:
            PatternError: The pattern is impossible.
            SchemaError: The table does not fit it.

        Example:
            >>> from cepheid import event
            >>> print(event("a", "x > 1").explain())  # doctest: +SKIP
        """
        from cepheid.input import schema_of

        native, predicates = self._compiled()
        return native.explain(None if data is None else schema_of(data, predicates))

    def count(self, data: Any, *, event_time: str | None = None, threads: int | None = None) -> int:
        """The number of matches in a table, none of them built: an integer of any size.

        Where every match is wanted and what `aggregate` accepts is said, they are not enumerated either.

        Args:
            data: One table, as for `cepheid.match`.
            event_time: As for `cepheid.match`.
            threads: As for `cepheid.match`.

        Raises:
            CepheidError: As for `cepheid.match`.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 1").count({"x": [1, 2, 3]})
            2
            >>> choices = event("a", "x > 1").one_or_more(contiguity="skip_till_any").matches("all")
            >>> choices.count({"x": [2] * 100}) == 2**100 - 1
            True
        """
        from cepheid.input import table_of

        native, predicates = self._compiled(event_time)
        threads = checked_count(threads, "threads")
        return native.count(table_of(data, predicates), event_time=event_time, threads=threads)

    def exists(self, data: Any, *, event_time: str | None = None, threads: int | None = None) -> bool:
        """Whether a table has a match; the search stops at the first.

        Args:
            data: One table, as for `cepheid.match`.
            event_time: As for `cepheid.match`.
            threads: As for `cepheid.match`.

        Raises:
            CepheidError: As for `cepheid.match`.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 5").exists({"x": [1, 2, 3]})
            False
        """
        from cepheid.input import table_of

        native, predicates = self._compiled(event_time)
        threads = checked_count(threads, "threads")
        return native.exists(table_of(data, predicates), event_time=event_time, threads=threads)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PatternData):
            return NotImplemented
        left, right = self._canonical(), other._canonical()
        if isinstance(left, str) or isinstance(right, str):
            return bool(left == right)
        return same_data(left, right)

    def __hash__(self) -> int:
        canonical = self._canonical()
        return hash(canonical if isinstance(canonical, str) else (self.variables, self.name))

    def __repr__(self) -> str:
        return self._code()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self._body, self._clauses)

    # Lowering.

    def _with(self, **clauses: Any) -> Self:
        return self._of(self._body, {**self._clauses, **clauses})

    def _names(self) -> list[str]:
        return [*self.variables, *(subset["name"] for subset in self._clauses.get("subsets", ()))]

    def _known(self, name: Any, who: str, code: str, names: list[str]) -> str:
        """One of the names, as it is written in the pattern."""
        checked_name(name, "variable")
        found = resolve_name(name, names)
        if found not in names:
            hint = nearest_name(name, names)
            raise PatternError(
                f"{who} `{name[:100]}`, which is no variable of the pattern (it has {listed_names(names)})",
                code=code,
                variable=name,
                known=names,
                hint=hint,
            )
        return found

    def _check_references(self, node: Node, context: str) -> None:
        names = self._names()
        for name in references(node):
            try:
                self._known(name, f"{context} refers to", "unknown-variable", names)
            except PatternError as error:
                error.context = context
                raise

    def _lowered(self, *, spelled: bool = False) -> dict[str, Any]:
        """The pattern as the engine reads it, predicates in Python still in place.

        `spelled`: for its code, greed stays as it was said, and bounds are left to the clause.
        """
        kept_as = "spelled" if spelled else "lowered"
        if (kept := self._kept.get(kept_as)) is not None:
            return dict(kept)
        known = self._names()
        clauses = {key: value for key, value in self._clauses.items() if key != "define" and value is not None}
        bounds = clauses.pop("within", {})
        if "trend" in clauses:
            # What is aggregated is every match.
            clauses.setdefault("selection", "all")
        selection = clauses.get("selection", "first")
        root, within = lowered_root(self._body.root, known, None if spelled else selection), None
        if not spelled:
            root, within = whole_root(root, bounds)
        lowered: dict[str, Any] = {
            "rows_per_match": "one",
            "after_match": default_skip(selection),
            "empty_matches": "excluded",
            "output": "derived",
            **clauses,
            "root": root,
        }
        if within is not None:
            lowered["within"] = within
        define = {name: nodes.resolve_names(condition, known) for name, condition in self._body.define.items()}
        if lowered["empty_matches"] == "excluded":
            define = {variable: nodes.normal_condition(node, variable) for variable, node in define.items()}
        # In the order of the variables, however they were given.
        lowered["define"] = [{"variable": name, "condition": define[name]} for name in self.variables if name in define]
        topics = self._body.topics
        if topics:
            lowered["topics"] = [{"variable": v, "topic": topics[v]} for v in self.variables if v in topics]
        lowered = with_measures(lowered, lambda node: nodes.resolve_names(node, known))
        self._kept[kept_as] = lowered
        return dict(lowered)

    def _named_once(self, rule: str) -> Self:
        """As `named`; under one name it is the same pattern again, so that the engine need not look at it anew."""
        if self.name == rule:
            return self
        kept: Self | None = self._kept.get("named")
        if kept is None or kept.name != rule:
            kept = self._kept["named"] = self.named(rule)
        return kept

    def _compiled(self, event_time: str | None = None) -> tuple[NativePattern, tuple[UserPredicate, ...]]:
        """The pattern in the engine, and the predicates whose columns it expects to find."""
        if event_time is not None:
            if not isinstance(event_time, str):
                raise TypeError(f"event_time is the name of a column, not {type(event_time).__name__}")
            if not self._clauses.get("order_by"):
                orders: dict[str, PatternData] = self._kept.setdefault("ordered", {})
                if event_time not in orders:
                    time = {"column": {"name": checked_name(event_time, "column")}}
                    orders[event_time] = self._with(order_by=[time])
                return orders[event_time]._compiled()
        if "native" not in self._kept:
            self._kept["native"] = self._native_with(predicate_column)
        compiled: tuple[NativePattern, tuple[UserPredicate, ...]] = self._kept["native"]
        return compiled

    def _native_with(self, column_of: Callable[[int], str]) -> tuple[NativePattern, tuple[UserPredicate, ...]]:
        predicates: list[UserPredicate] = []

        def replaced(node: Node) -> Node:
            return without_predicates(node, predicates, column_of)

        lowered = self._lowered()
        lowered["define"] = [{**entry, "condition": replaced(entry["condition"])} for entry in lowered["define"]]
        lowered["root"] = with_untils(lowered["root"], replaced)
        lowered = with_measures(lowered, replaced)
        native = NativePattern.from_json(json.dumps({"cepheid_ir": 1, "pattern": lowered}, allow_nan=False))
        return native, tuple(predicates)

    def _graph(self) -> Graph:
        from cepheid.drawing.pattern_graph import pattern_graph

        native, predicates = self._compiled()
        called = {predicate_column(place): predicate.called for place, predicate in enumerate(predicates)}
        return pattern_graph(json.loads(native.to_json())["pattern"], called)

    def _emitted(self, rule: str) -> str:
        """The topic of its matches, if it is a rule of this name, unless it has one of its own."""
        return self._clauses.get("emit") or self.name or rule

    def _derives_more(self) -> bool:
        """Whether it derives more than its matches."""
        return bool(self._clauses.get("timeouts") or self._clauses.get("emit_at"))

    def _ordered_by(self) -> str | None:
        """The first column that its rows are ordered by."""
        order = self._clauses.get("order_by")
        return order[0]["column"]["name"] if order else None

    def _derived_topics(self, rule: str) -> set[str]:
        """The topics that it derives as a rule of this name."""
        own = self._emitted(rule)
        timeouts = {f"{own}.timeout"} if self._clauses.get("timeouts") else set()
        return {own, *timeouts, *(entry["topic"] for entry in self._clauses.get("emit_at", ()))}

    def _read_topics(self) -> tuple[str | None, ...]:
        """The topics that it reads, in the order in which they are written; None: whatever there is."""
        return tuple(dict.fromkeys(self._body.topics.get(variable) for variable in self.variables))

    def _topics_of(self, predicate: UserPredicate) -> set[str]:
        """The topics whose rows a predicate is asked of by name."""
        return {
            self._body.topics[variable]
            for variable, condition in self._body.define.items()
            if variable in self._body.topics
            and any(
                nodes.tag_of(part) == "udf" and part["udf"]["predicate"] == predicate for part in nodes.walk(condition)
            )
        }

    def _serialisable(self) -> NativePattern:
        native, predicates = self._compiled()
        if predicates:
            raise not_serialisable()
        return native

    def _canonical(self) -> Any:
        """What patterns are compared by: the normal JSON, or, of a part that is no pattern yet, the data."""
        if "canonical" not in self._kept:
            try:
                self._kept["canonical"] = self._serialisable().to_json()
            except PatternError:
                self._kept["canonical"] = self._lowered()
        return self._kept["canonical"]

    @classmethod
    def _from_native(cls, native: NativePattern) -> Self:
        data = json.loads(native.to_json())["pattern"]
        root, bounds = opened(data.pop("root"), data.pop("within", None))
        define = {entry["variable"]: entry["condition"] for entry in data.pop("define", ())}
        topics = {entry["variable"]: entry["topic"] for entry in data.pop("topics", ())}
        selection = data.get("selection", "first")
        if selection == "first":
            root = without_plain_greed(root)
        defaults = {
            "rows_per_match": "one",
            "after_match": default_skip(selection),
            "empty_matches": "excluded",
            "output": "derived",
        }
        clauses = {key: value for key, value in data.items() if value != defaults.get(key, UNSET)}
        if bounds:
            clauses["within"] = bounds
        pattern = cls._of(measured(root, define, topics), clauses)
        pattern._kept["native"] = (native, ())
        return pattern

    def _code(self) -> str:
        lowered = self._lowered(spelled=True)
        foreign = lowered.keys() & {"subsets", "initial"} or lowered["empty_matches"] != "excluded"
        try:
            if foreign or lowered["output"] != "derived":
                raise NotSpellable
            define = {entry["variable"]: entry["condition"] for entry in lowered["define"]}
            code, whole = root_code(lowered["root"], define, self._body.topics)
        except NotSpellable:
            return self._foreign_code()
        clauses = "".join(clause_code(key, value) for key, value in self._clauses.items())
        return code + clauses if whole or not clauses else f"({code}){clauses}"

    def _foreign_code(self) -> str:
        """A pattern with SQL's meaning: as SQL, if that says it all, else as data."""
        try:
            bare = self._with(name=None, emit=None)._serialisable()
            sql = _sql_of_same_data(bare)
            if sql is None:
                return f"cep.Pattern.from_dict({self.to_dict()!r})"
        except (PatternError, ValueError) as error:
            return f"<Pattern that cannot be spelled: {error}>"
        name = f".named({self._clauses['name']!r})" if self._clauses.get("name") else ""
        emit = f".emit({self._clauses['emit']!r})" if self._clauses.get("emit") else ""
        return f"cep.pattern_from_sql({sql!r}){name}{emit}"


def _sql_of_same_data(bare: NativePattern) -> str | None:
    """SQL that is read into just this data, its columns and the quotes of its names included, if there is any."""
    try:
        sql = bare.to_sql()
    except PatternError:
        return None
    return sql if NativePattern.from_sql(sql).to_json() == bare.to_json() else None


def without_predicates(node: Node, predicates: list[UserPredicate], column_of: Callable[[int], str]) -> Node:
    """The node with a column in place of every Python predicate, which is added to the list."""

    def column(part: Node) -> Node:
        if nodes.tag_of(part) == "aggregate" and "defined" in part["aggregate"]:
            # Whoever runs it knows it by its name.
            return {"aggregate": {key: value for key, value in part["aggregate"].items() if key != "defined"}}
        if nodes.tag_of(part) != "udf":
            return part
        predicate = part["udf"]["predicate"]
        if predicate not in predicates:
            predicates.append(predicate)
        name = column_of(predicates.index(predicate))
        return nodes.with_pointer({"column": {"name": name, "quoted": True}}, nodes.pointer_of(part))

    return nodes.rewrite(node, column)


def with_measures(lowered: dict[str, Any], change: Callable[[Node], Node]) -> dict[str, Any]:
    """The lowered pattern with every expression about a match changed: measures, intermediate ones too, and HAVING."""

    def changed(measures: Any) -> list[dict[str, Any]]:
        return [{**measure, "value": change(measure["value"])} for measure in measures]

    lowered = {**lowered, "measures": changed(lowered.get("measures", ()))}
    if "having" in lowered:
        lowered["having"] = change(lowered["having"])
    if "trend" in lowered:
        aggregate = lowered["trend"]
        lowered["trend"] = {**aggregate, "values": changed(aggregate["values"])}
    if "emit_at" in lowered:
        lowered["emit_at"] = [{**entry, "measures": changed(entry.get("measures", ()))} for entry in lowered["emit_at"]]
    return lowered


def _unpickle(cls: type[PatternData], body: Body, clauses: dict[str, Any]) -> PatternData:
    return cls._of(body, clauses)
