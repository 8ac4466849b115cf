"""The compiled half of cepheid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, final, type_check_only

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.derived import Derived

__all__ = [
    "Anomaly",
    "ArrowBatch",
    "CesqlFilter",
    "CompactMatches",
    "Engine",
    "EventLog",
    "EventReader",
    "MatchTable",
    "Pattern",
    "Processor",
    "Pusher",
    "Query",
    "StoreView",
    "StoredEvents",
    "StoredReader",
    "UserAggregate",
    "Window",
    "__version__",
    "check_expression",
    "column_places",
    "concat_matches",
    "frequent_sequences",
    "numbered_rows",
    "parse_expression",
    "parse_measure",
    "rfc3339_times",
    "unparse_expression",
]

__version__: str

@type_check_only
class _ArrowSchemaExportable(Protocol):
    def __arrow_c_schema__(self) -> object: ...

@final
class ArrowBatch:
    """One record batch, for any Arrow library to read."""

    def __arrow_c_schema__(self) -> object:
        """The schema as a capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The batch as a stream of one; a requested schema is followed where its types can be cast to."""

@final
class CesqlFilter:
    """An expression of CloudEvents SQL: what it says of one event, and which rows of a table it selects."""

    def __new__(cls, text: str) -> CesqlFilter:
        """Reads a text.

        Raises:
            SqlError: It is no expression.
        """

    @property
    def attributes(self) -> list[str]:
        """The attributes that it names, in lower case, each once, in order of appearance."""

    @property
    def missing_functions(self) -> list[tuple[str, int]]:
        """Functions that it calls and that do not exist, and with how many arguments."""

    @property
    def result_type(self) -> str | None:
        """The type of its value in lower case; None where that depends on the event."""

    def evaluate(
        self, event: list[bool | int | float | str | tuple[str] | None], /
    ) -> tuple[bool | int | str, list[tuple[str, str]]]:
        """The value, and kinds and messages of the errors.

        `event` has a value for each of `attributes`: None if it is missing, and a tuple of what it is if the language
        has no such values.
        """

    def filter(self, data: object, /) -> list[ArrowBatch]:
        """The rows that are selected, batch by batch; batches without any are left out.

        Raises:
            SchemaError: The object cannot be read as an Arrow table.
        """

    def mask(self, data: object, /) -> tuple[ArrowBatch, int]:
        """A column ``selected`` of truths, one for each row, and in how many the evaluation met an error.

        Raises:
            SchemaError: The object cannot be read as an Arrow table.
        """

@final
class Pusher:
    """Takes single events of one topic and pushes them to its engine in small batches: `Engine.pusher` makes it.

    An event waits until `max_rows` of them do, until a call comes `max_delay` or more after the first of them, or until
    `flush`. Nothing else pushes them. A call that raises has not taken its event; those before it wait on. A pusher is
    for one thread at a time.
    """

    def __new__(
        cls,
        schema: object,
        time: int,
        push_batch: Callable[[ArrowBatch], Derived],
        nothing: Derived,
        *,
        max_rows: int,
        max_delay_ns: int | None,
    ) -> Pusher:
        """A pusher of events in the columns of `schema`; `time` is the number of the one that holds event times.

        Raises:
            SchemaError: A column is of a type that is not made from Python values (code ``column-type``).
        """

    def push(self, *values: Any) -> Derived | None:
        """Takes one event: the values of its columns, in order.

        Raises:
            TypeError: There are more or fewer values than columns.
            CepheidError: A value is none of its column's, or as for `cepheid.Engine.push`.
        """

    def push_dict(self, event: Mapping[str, Any]) -> Derived | None:
        """Takes one event as a dict of its columns' names and values, all of them.

        Raises:
            TypeError: It is no mapping.
            CepheidError: A column is missing or unknown, or as for `push`.
        """

    def poll(self) -> Derived | None:
        """Pushes the events that wait, if the first of them has waited for `max_delay`.

        Raises:
            CepheidError: As for `cepheid.Engine.push`; the events wait on.
        """

    def flush(self) -> Derived:
        """Pushes the events that wait, now.

        Raises:
            CepheidError: As for `cepheid.Engine.push`; the events wait on.
        """

    def take(self) -> pa.Table:
        """Gives the events that wait back, and forgets them."""

    @property
    def waiting(self) -> int:
        """How many events wait."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order in which `push` takes their values."""

@final
class Engine:
    """Rules over streams; `cepheid.Engine` is built on it. Calls of several threads wait for each other.

    Spans and times are in nanoseconds, `data` as for `Pattern`. Outputs are pairs of a topic and its events.
    """

    def __new__(
        cls,
        rules: Sequence[Pattern | Window | Anomaly | Processor],
        event_time: str,
        *,
        topics: Sequence[str],
        lateness_ns: int | None,
        late: str,
        idle_ns: int | None,
        future_ns: int | None,
        threads: int | None,
        memory_limit: int | None,
        ids: bool,
    ) -> Engine:
        """An engine that has seen nothing.

        Raises:
            CepheidError: See `cepheid.Engine`.
        """

    @staticmethod
    def restore(
        blob: bytes,
        rules: Sequence[Pattern | Window | Anomaly | Processor],
        *,
        threads: int | None,
        memory_limit: int | None,
    ) -> Engine:
        """An engine as it was when the snapshot was taken.

        Raises:
            StoreError: It is no snapshot, or not of these rules.
        """

    def skip(self, topic: str, rows: int) -> None:
        """Passes over rows of a topic: those after them are numbered as if they had been pushed."""

    def relevant(self, topic: str) -> str | None:
        """What holds of the rows of a topic that can matter, as JSON; None: any can."""

    def columns_needed(self, topic: str) -> list[str] | None:
        """The columns of a topic that rules have to do with; None: all."""

    def pass_over(
        self, topic: str, rows: int, times: tuple[int, int], now_ns: int | None
    ) -> list[tuple[str, MatchTable]] | None:
        """Passes over rows that cannot matter, from the first time to the last; None: they have to be pushed."""

    def reads(self) -> list[str | None]:
        """Which topics its rules read from outside; None among them: any."""

    def push(self, data: object, topic: str | None, now_ns: int | None) -> list[tuple[str, MatchTable]]:
        """Takes rows of a topic, and gives the events that they, and the passing of time, derive.

        Raises:
            CepheidError: See `cepheid.Engine.push`.
        """

    def columns(self, topic: str | None) -> ArrowBatch | None:
        """The columns of a topic, as a batch without rows; None before its first push."""

    def declare(self, data: object, topic: str | None) -> None:
        """Says what columns a topic has, as a table whose rows are not looked at.

        Raises:
            CepheidError: See `cepheid.Engine.push`.
        """

    def event_time(self) -> str:
        """The column of event time."""

    def advance_to(self, time_ns: int) -> list[tuple[str, MatchTable]]:
        """Moves the clock.

        Raises:
            CepheidError: See `cepheid.Engine.advance_to`.
        """

    def flush(self) -> list[tuple[str, MatchTable]]:
        """Ends the input.

        Raises:
            CepheidError: See `cepheid.Engine.flush`.
        """

    def add(self, rule: Pattern | Window | Anomaly | Processor) -> None:
        """Adds a rule, which sees the rows that are matched from now on.

        Raises:
            CepheidError: See `cepheid.Engine.add`.
        """

    def replace(self, name: str, rule: Pattern | Window | Anomaly | Processor) -> None:
        """Puts a rule in the place of another.

        Raises:
            CepheidError: See `cepheid.Engine.replace`.
        """

    def remove(self, name: str) -> None:
        """Takes a rule out.

        Raises:
            PatternError: There is none of that name.
        """

    def rules(self) -> list[str]:
        """Names of the rules, in order."""

    def snapshot(self) -> bytes:
        """All that the engine knows.

        Raises:
            CepheidError: See `cepheid.Engine.snapshot`.
        """

    def stats(self) -> dict[str, Any]:
        """Counts, as plain data; `cepheid.EngineStats` explains them."""

@final
class MatchTable:
    """Matches as Arrow; `cepheid.Matches` is built on it."""

    def __arrow_c_schema__(self) -> object:
        """The schema as a capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows as a stream; a requested schema is followed where its types can be cast to."""

    def part(self) -> pa.Table | None:
        """The rows, cut out of a table that several rules share; None: there is none."""

    def membership(self) -> ArrowBatch:
        """Which input rows make up which match: `match: int64, variable: string, row: int64`.

        Raises:
            SchemaError: It would pass Arrow's limits.
        """

    def times(self) -> ArrowBatch | None:
        """When each row was decided, in nanoseconds since 1970: `time: int64`; None: not of a stream, or late rows."""

    @property
    def num_matches(self) -> int:
        """Matches, empty ones included."""

    @property
    def num_rows(self) -> int:
        """Rows of the table."""

    @property
    def column_names(self) -> list[str]:
        """Names of the table's columns."""

    @property
    def strategy(self) -> str:
        """Names of the strategies that ran, one but for the events of several rules."""

@final
class CompactMatches:
    """Matches that are not built yet, however many there are; each question finds them anew."""

    def count(self) -> int:
        """How many there are."""

    def head(self, most: int) -> MatchTable:
        """The first of them."""

    def build(self) -> MatchTable:
        """All of them.

        Raises:
            StateLimitError: There are more than 268,435,456 (code ``too-large``).
        """

@final
class Pattern:
    """A validated pattern in its normal spelling; `cepheid.Pattern` keeps one.

    `data` is anything with `__arrow_c_stream__` or `__arrow_c_array__`; it is read without the GIL, buffers shared.
    """

    @staticmethod
    def from_json(text: str) -> Pattern:
        """Reads the wire form, validates and normalises it.

        Raises:
            PatternError: It is no pattern, or an impossible one.
        """

    @staticmethod
    def from_sql(text: str) -> Pattern:
        """Reads a `SELECT` or a bare `MATCH_RECOGNIZE` clause.

        Raises:
            SqlError: It is neither.
        """

    def to_json(self) -> str:
        """The wire form."""

    def to_sql(self) -> str:
        """A `MATCH_RECOGNIZE` clause of the same meaning.

        Raises:
            PatternError: SQL cannot say the pattern (code `unsupported`).
        """

    def fingerprint(self) -> str:
        """SHA-256 of the wire form without the name, in hex."""

    def explain(self, schema: _ArrowSchemaExportable | None = None) -> str:
        """The plan in prose; with a schema, types are checked as well.

        Raises:
            PatternError: No strategy can run it.
            SchemaError: The schema does not fit it.
        """

    def match_table(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> MatchTable:
        """Matches one table.

        Raises:
            CepheidError: See `cepheid.match`.
        """

    def match_compactly(
        self, data: object, *, event_time: str | None = None, threads: int | None = None
    ) -> MatchTable | CompactMatches:
        """As `match_table`; where there are more than 65,536 matches they may be left to be built later."""

    def match_outputs(
        self, data: object, rule: str, *, event_time: str | None = None, threads: int | None = None
    ) -> tuple[MatchTable, list[tuple[str, MatchTable]]]:
        """Matches one table; gives the matches, and by topic whatever else is derived.

        A pattern that names no topic is a rule by the name of `rule`.

        Raises:
            CepheidError: See `cepheid.match`.
        """

    def match_topics(
        self, data: Sequence[tuple[str, object]], rule: str, event_time: str, *, threads: int | None = None
    ) -> tuple[MatchTable, list[tuple[str, MatchTable]]]:
        """Matches the tables of several topics; gives the matches, and by topic whatever else is derived.

        Raises:
            CepheidError: See `cepheid.match`.
        """

    def count(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> int:
        """The number of matches.

        Raises:
            CepheidError: See `cepheid.match`.
        """

    def exists(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> bool:
        """Whether there is a match.

        Raises:
            CepheidError: See `cepheid.match`.
        """

@final
class Anomaly:
    """A validated rule in its normal spelling; `cepheid.Anomaly` keeps one."""

    @staticmethod
    def from_json(text: str) -> Anomaly:
        """Reads the wire form, validates and normalises it.

        Raises:
            PatternError: It is no anomaly rule, or an impossible one.
        """

    def to_json(self) -> str:
        """The wire form."""

    def fingerprint(self) -> str:
        """SHA-256 of the wire form without the name, in hex."""

    def detect(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> MatchTable:
        """The rows of one table that stand out; an event time given here comes before its own.

        Raises:
            CepheidError: See `cepheid.detect`.
        """

@final
class EventLog:
    """The writer of a store; `cepheid.EventStore` keeps one. Times are in nanoseconds since 1970."""

    def __new__(cls, path: str | PathLike[str], *, event_time: str | None, author: str) -> EventLog:
        """Opens a store to be written; makes it if there is none.

        Raises:
            StoreError: Somebody else writes to it, or it is none.
        """

    def set_time(self, time_ns: int) -> None:
        """Has the time be one until it is said anew."""

    def append(
        self,
        topic: str,
        rows: object,
        *,
        stream: str | None,
        expected_version: int | None,
        idempotency_key: str | None,
    ) -> tuple[int, int, int, int | None, bool]:
        """Appends rows to a topic.

        Returns:
            The position of the first, how many, its number in the topic, the stream's version, whether repeated.

        Raises:
            CepheidError: See `cepheid.EventStore.append`.
        """

    def append_batches(
        self,
        topic: str,
        tables: Iterator[object],
        written: Callable[[list[tuple[int, int, int, int | None, bool]]], None],
        *,
        stream: str | None,
        expected_version: int | None,
        idempotency_key: str | None,
    ) -> None:
        """Appends tables one after another, the next of which are made ready while some are written.

        Args:
            topic: Their topic.
            tables: What gives them; asked on the thread that calls.
            written: Is told where those are that are on the disk, as `append` returns it; on the thread that calls.
            stream: Their stream.
            expected_version: How many events it has to have before the first of them.
            idempotency_key: What stands before the number of each, with a colon, in its own.

        Raises:
            StoreError: One was refused; those before it are in the store.
        """

    def commit(self, changes: Sequence[tuple[Any, ...]]) -> list[tuple[int, int, int, int | None, bool]]:
        """Makes changes together, or none of them; gives what `append` gives of each append."""

    def seal(self, topics: Sequence[str], events_min: int) -> tuple[int, int, int]:
        """Archives the journal; gives files, events and bytes."""

    def compact(self, topics: Sequence[str]) -> tuple[int, int, int]:
        """Puts small segments together; gives files, events and bytes."""

    def keep(self, topic: str, age_max: int | None, bytes_max: int | None, keys_age_max: int | None) -> None:
        """Says how long, and how much, of a topic is kept."""

    def retain(self, topics: Sequence[str]) -> tuple[int, int]:
        """Removes what is kept no longer; gives events and bytes."""

    def protect(self, topic: str, subject: str, columns: Sequence[str]) -> None:
        """Has columns kept secret from now on."""

    def erase(self, subject: str) -> int:
        """Erases what is protected of a subject; gives how many keys there were."""

    def sign(self, secret: bytes) -> tuple[int, str]:
        """Signs the chain as it is now; gives the entry that it is after, and the public key."""

    def close(self) -> None:
        """Ends it, once the calls of other threads have."""

@final
class StoreView:
    """Looks at a store."""

    def __new__(cls, path: str | PathLike[str]) -> StoreView: ...
    def read(
        self,
        topics: Sequence[str],
        *,
        stream: str | None,
        positions: tuple[int | None, int | None],
        rows: tuple[int | None, int | None],
        times: tuple[int | None, int | None],
        condition: str | None,
        columns: Sequence[str] | None,
        metadata: bool,
        limit: int | None,
        missing: bool,
    ) -> StoredEvents:
        """What events are asked for. A condition is an expression as JSON; bounds are half open.

        Raises:
            CepheidError: See `cepheid.EventStore.read`.
        """

    def value(self, kind: str, name: str) -> bytes | None:
        """The value that is saved under a name."""

    def names(self, kind: str) -> list[str]:
        """Names of a kind under which something is saved."""

    def waiting(self, queue: str, limit: int) -> list[tuple[str, bytes]]:
        """What waits in a queue."""

    def topics(self) -> list[str]:
        """Names of the topics, in order."""

    def event_time(self) -> str:
        """The column of the event time."""

    def has_key(self, topic: str, key: str) -> bool:
        """Whether a batch of a topic has come with an idempotency key."""

    def stream_version(self, stream: str) -> int:
        """How many events a stream has."""

    def streams(self, prefix: str) -> list[tuple[str, int]]:
        """Streams whose names begin with a text, and their versions."""

    def next_position(self) -> int:
        """The position of the next event."""

    def history(self) -> list[tuple[int, str, int, str, str]]:
        """Changes that are no appends: entry, kind, when, who, what."""

    def authors(self) -> list[tuple[str, str, int, int, int, int]]:
        """Who has appended what: who, topic, batches, events, when first, when last."""

    def info(
        self,
    ) -> tuple[
        int,
        int,
        int,
        str,
        bytes,
        list[
            tuple[
                tuple[str, int, int, int, int, int, int],
                tuple[int, int] | None,
                tuple[int | None, int | None, int | None],
                tuple[str, list[str]] | None,
            ]
        ],
    ]:
        """Events, entries, bytes of the database, the column of the event time, the chain's last hash, and topics."""

    def verify(
        self, key: str | None
    ) -> tuple[int, int, int, int, list[tuple[int, str]], tuple[int | None, int | None, str] | None]:
        """Verifies the store: entries, events, removed, segments, signatures, and the first fault."""

    def close(self) -> None:
        """Ends it."""

@final
class StoredEvents:
    """Events that are asked for, read when they are wanted; `cepheid.StoredEvents` keeps one."""

    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def reader(self, mattering: Sequence[tuple[str, str]], columns: Sequence[str] | None = None) -> StoredReader:
        """Reads them.

        Args:
            mattering: By topic what holds of the rows that matter, as JSON; others are passed over where all of a batch
                or a page are.
            columns: Those that are read. None: those that were asked for.
        """

    def no_rows(self) -> ArrowBatch:
        """Their columns, as a batch without rows."""

    def end(self) -> int | None:
        """The position before which they are."""

@final
class StoredReader:
    """Reads events batch by batch."""

    def next_batch(self) -> ArrowBatch | None:
        """The next rows, of all topics in one schema; None: those were all."""

    def next_rows(
        self,
    ) -> (
        tuple[
            str,
            tuple[ArrowBatch, ArrowBatch, tuple[int, int, int]] | None,
            tuple[tuple[int, int, int], tuple[int, int]] | None,
        ]
        | None
    ):
        """The next rows of one topic, whose numbers follow each other, or what is known of those that do not matter.

        Returns:
            The topic, and rows (the store's columns in front, and without them), the position after them, the number of
            the first and how many; or position, row, how many, and the first and the last time. None: those were all.
        """

    def push_to(
        self, engine: Engine, counted: Mapping[str, int], now_ns: int | None, whole: bool, eager: bool
    ) -> dict[str, Any]:
        """Pushes what comes next to an engine, which numbers rows as the store does; passes over what does not matter.

        It ends after some ten thousand rows, and before rows that it cannot pass over, or not push without all columns.

        Args:
            engine: The engine.
            counted: By topic how many rows it has been told of.
            now_ns: The time.
            whole: Whether all columns are read.
            eager: Whether it ends as soon as something is derived.

        Returns:
            ``outputs`` by topic, ``counted`` as it is now, ``refused``: rows that cannot be passed over, or have to be
            pushed as a whole (topic, the first, how many), ``ended``, and ``rows``: how many were pushed, and how many
            were passed over.
        """

@final
class UserAggregate:
    """A monoid written in Python; `cepheid.UserAggregate` keeps one."""

    def __new__(cls, function: Callable[[str, Any], Any], states: Any) -> UserAggregate:
        """Of a function that takes a step's name and a batch of its arguments, and gives a table of one column.

        `states`: a schema whose only column has the type of states.
        """

@final
class Window:
    """A validated window in its normal spelling; `cepheid.Window` keeps one."""

    @staticmethod
    def from_json(text: str, aggregates: Sequence[tuple[str, UserAggregate]] = ...) -> Window:
        """Reads the wire form, validates and normalises it. `aggregates`: those written in Python, by name.

        Raises:
            PatternError: It is no window, or an impossible one.
        """

    @staticmethod
    def from_sql(text: str) -> Window:
        """Reads a `SELECT ... FROM TABLE(TUMBLE(...)) ... GROUP BY ...` that does nothing more.

        Raises:
            SqlError: It is none.
        """

    def to_json(self) -> str:
        """The wire form."""

    def fingerprint(self) -> str:
        """SHA-256 of the wire form without the name, in hex."""

    def aggregate(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> MatchTable:
        """What it says of the rows of one table; an event time given here comes before its own.

        Raises:
            CepheidError: See `cepheid.aggregate`.
        """

@final
class Processor:
    """A function and its topics; `cepheid.Processor` keeps one."""

    def __new__(
        cls, function: Callable[[object], object | None], name: str, topic: str, emit: str | None
    ) -> Processor: ...

@final
class Query:
    """A parsed query over the matches, or the windows, of one table."""

    @staticmethod
    def parse(text: str) -> Query:
        """Reads the text of a query.

        Raises:
            SqlError: It is none.
        """

    @property
    def table(self) -> str:
        """The input table's name, as written."""

    @property
    def table_quoted(self) -> bool:
        """Whether the table's name was quoted."""

    def pattern(self) -> Pattern | None:
        """The query's pattern, without what the outer `SELECT` does with its rows; none of windows."""

    def explain(self, schema: _ArrowSchemaExportable | None = None) -> str:
        """The plan in prose; with a schema, types are checked as well.

        Raises:
            PatternError: No strategy can run it.
            SchemaError: The schema does not fit it.
        """

    def run(self, data: object, *, event_time: str | None = None, threads: int | None = None) -> MatchTable:
        """Runs the query over its table.

        Raises:
            CepheidError: See `cepheid.sql`.
        """

def check_expression(json: str) -> str:
    """Reads an expression from JSON and writes it back, so that only what the engine can read gets into one.

    Raises:
        PatternError: It is no expression.
    """

def column_places(schema: object, columns: Sequence[tuple[str, bool]]) -> list[int]:
    """Where columns stand in a schema. Each is a name, and whether it is written exactly so.

    Raises:
        SchemaError: There is none, or several.
    """

def numbered_rows(data: object, event_time: int, sets: Sequence[Sequence[int]]) -> ArrowBatch:
    """The rows of a table as numbers.

    Args:
        data: The table, as for `Pattern`.
        event_time: The column of the event time.
        sets: Sets of columns.

    Returns:
        A column ``time: int64`` in nanoseconds, and for each set a column ``set_0: uint32`` and so on, with a number
        for each combination of values, from 0 in the order of their appearance. NULL equals NULL, NaN NaN, and 0.0
        -0.0.

    Raises:
        SchemaError: An event time is NULL or too large (code ``null-time`` or ``time-overflow``), or a column is of a
            type without event times, or that is no key (code ``column-type``).
    """

def frequent_sequences(
    history: object,
    *,
    min_support: int,
    min_length: int,
    max_length: int,
    max_gap_ns: int | None,
    within_ns: int | None,
    max_sequences: int,
    keep: str,
) -> list[tuple[list[int], int, int, int]]:
    """The frequent sequences of a history: symbols, support, and median and 95th percentile of the spans.

    `history` has the columns ``key: uint32``, ``time: int64`` and ``symbol: uint32``, and rows in order of key and
    time.

    Raises:
        SchemaError: They are in another order (code ``invalid-history``).
        StateLimitError: There are more than `max_sequences` (code ``too-many-sequences``).
    """

def parse_measure(text: str) -> tuple[str, str | None]:
    """Reads a measure of the algebra; gives it as JSON, and the name that may stand behind it.

    Raises:
        SqlError: It is no expression.
    """

def parse_expression(text: str, dialect: str) -> str:
    """Reads an expression of the algebra and gives it as JSON.

    Args:
        text: SQL.
        dialect: `algebra_condition` or `algebra_measure`.

    Raises:
        SqlError: It is no expression.
    """

def unparse_expression(json: str) -> str:
    """SQL text of an expression given as JSON.

    Raises:
        PatternError: It is no expression.
    """

@final
class EventReader:
    """Reads the text of events whose types may be known.

    Each type is its name, its version (None: nobody has declared it), the columns of its data, and what becomes of
    other fields: ``"keep"``, ``"drop"`` or ``"reject"``. Of several versions the last is that of events that say none.
    """

    def __new__(
        cls,
        types: Sequence[tuple[str, int | None, _ArrowSchemaExportable, str]],
        *,
        payload_bytes_max: int,
        columns_max: int,
    ) -> EventReader: ...
    def read(
        self, text: bytes, *, topic: str | None, source: str, received_us: int, id_prefix: str
    ) -> tuple[
        list[tuple[str, int | None, ArrowBatch, ArrowBatch, int]],
        list[tuple[int, int, int, str, str, str | None]],
        ArrowBatch,
    ]:
        """Events as columns, by type.

        Gives for each type its name, version, events, their numbers in the call (``row: uint32``) and how many columns,
        the last, are new; for each fault its row, first byte, byte after the last, code, reason and topic; and for each
        of the call's events its bytes (``start: uint32, end: uint32``).

        Raises:
            SchemaError: There is more text than one call takes (code ``payload-too-large``).
        """

    def read_rows(
        self, text: bytes
    ) -> tuple[list[tuple[ArrowBatch, ArrowBatch]], list[tuple[int, int, int, str, str, str | None]], ArrowBatch]:
        """Objects as columns, without a meaning; fields of objects in objects under their paths, with dots.

        Raises:
            SchemaError: As for `read`.
        """

def rfc3339_times(texts: object) -> ArrowBatch:
    """The first column of a table, texts, as times in microseconds and UTC; NULL where a text is none."""

def concat_matches(tables: Sequence[MatchTable]) -> MatchTable:
    """Derived events of one topic, call after call, as one table: matches are numbered on."""
