"""Complex event processing over Arrow: row patterns in Python or SQL, matched in Rust.

>>> import cepheid as cep
>>> from cepheid import col, event, prev
>>> fall = event("fall", col.price < prev(col.price)).one_or_more()
>>> rise = event("rise", col.price > prev(col.price)).one_or_more()
>>> valley = cep.seq(event("top"), fall, rise, contiguity="strict").select(low=cep.ref("fall").price)
>>> [row["low"] for row in cep.match(valley, {"price": [5, 3, 2, 4, 6, 1]})]
[2]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cepheid._native import __version__
from cepheid.aggregating import aggregate
from cepheid.anomaly import Anomaly, AnomalyBuilder, anomaly
from cepheid.columns import Ref, col, expr_from_sql, lit, ref
from cepheid.derived import Derived
from cepheid.detecting import detect
from cepheid.engine import Engine
from cepheid.engine_stats import EngineStats, RuleStats, SourceStats
from cepheid.enrichment import Enrichment, LookupStats, enrich
from cepheid.errors import (
    ActionError,
    AppError,
    CepheidError,
    EvaluationError,
    FoldError,
    InternalError,
    LateEventError,
    MatchError,
    PatternError,
    ProcessorError,
    SchemaError,
    SqlError,
    StateLimitError,
    StoreError,
    UpcastError,
    VersionConflictError,
)
from cepheid.expr import Expr
from cepheid.functions import (
    abs,
    classifier,
    coalesce,
    concat,
    count,
    count_if,
    date_add,
    date_diff,
    duration,
    exp,
    from_unixtime,
    greatest,
    least,
    ln,
    log,
    match_number,
    max_by,
    min_by,
    next_,
    nullif,
    power,
    prev,
    round,
    when,
)
from cepheid.joins import asof_join, interval_join
from cepheid.matching import match
from cepheid.mining import FrequentSequence, FrequentSequences, frequent_sequences
from cepheid.pattern import Pattern, absent, all_of, event, seq
from cepheid.predicate import udf
from cepheid.process_log import to_ocel, to_xes
from cepheid.process_map import ProcessMap, process_map
from cepheid.processors import Processor, processor
from cepheid.pusher import Pusher
from cepheid.result import Matches
from cepheid.river import RiverDetector, river_detector
from cepheid.sql import pattern_from_sql, sql, window_from_sql
from cepheid.user_aggregate import UserAggregate, user_aggregate
from cepheid.window import Window, WindowBuilder, window

if TYPE_CHECKING:
    from cepheid.cesql import CesqlFault, CesqlMask, CesqlResult, CloudEventsSql
    from cepheid.database_lookup import SqlLookup, sql_lookup
    from cepheid.runtime.app import App
    from cepheid.runtime.app_stats import AppStats, HandlerStats
    from cepheid.runtime.app_test import AppTest
    from cepheid.runtime.batching import BatchStats
    from cepheid.runtime.cache import Cache, CacheStats
    from cepheid.runtime.clock import VirtualClock
    from cepheid.runtime.dead_letters import DeadLetter
    from cepheid.runtime.policy import CircuitBreaker, Retry
    from cepheid.schema import EventSchema, JsonText, SchemaRegistry
    from cepheid.store import (
        Aggregate,
        Command,
        EventStore,
        Handled,
        Loaded,
        Position,
        ProcessManager,
        Projection,
        ProjectionHealth,
        Replay,
        ReplayStep,
        StoredEvents,
        StoreInfo,
        StoreReport,
        StreamEvent,
        Subscription,
        TopicInfo,
        Transaction,
        Upcasters,
        Verification,
    )

__all__ = [
    "ActionError",
    "Aggregate",
    "Anomaly",
    "AnomalyBuilder",
    "App",
    "AppError",
    "AppStats",
    "AppTest",
    "BatchStats",
    "Cache",
    "CacheStats",
    "CepheidError",
    "CesqlFault",
    "CesqlMask",
    "CesqlResult",
    "CircuitBreaker",
    "CloudEventsSql",
    "Command",
    "DeadLetter",
    "Derived",
    "Engine",
    "EngineStats",
    "Enrichment",
    "EvaluationError",
    "EventSchema",
    "EventStore",
    "Expr",
    "FoldError",
    "FrequentSequence",
    "FrequentSequences",
    "Handled",
    "HandlerStats",
    "InternalError",
    "JsonText",
    "LateEventError",
    "Loaded",
    "LookupStats",
    "MatchError",
    "Matches",
    "Pattern",
    "PatternError",
    "Position",
    "ProcessManager",
    "ProcessMap",
    "Processor",
    "ProcessorError",
    "Projection",
    "ProjectionHealth",
    "Pusher",
    "Ref",
    "Replay",
    "ReplayStep",
    "Retry",
    "RiverDetector",
    "RuleStats",
    "SchemaError",
    "SchemaRegistry",
    "SourceStats",
    "SqlError",
    "SqlLookup",
    "StateLimitError",
    "StoreError",
    "StoreInfo",
    "StoreReport",
    "StoredEvents",
    "StreamEvent",
    "Subscription",
    "TopicInfo",
    "Transaction",
    "UpcastError",
    "Upcasters",
    "UserAggregate",
    "Verification",
    "VersionConflictError",
    "VirtualClock",
    "Window",
    "WindowBuilder",
    "__version__",
    "abs",
    "absent",
    "aggregate",
    "all_of",
    "anomaly",
    "asof_join",
    "classifier",
    "coalesce",
    "col",
    "concat",
    "count",
    "count_if",
    "date_add",
    "date_diff",
    "detect",
    "duration",
    "enrich",
    "event",
    "exp",
    "expr_from_sql",
    "frequent_sequences",
    "from_unixtime",
    "greatest",
    "interval_join",
    "least",
    "lit",
    "ln",
    "log",
    "match",
    "match_number",
    "max_by",
    "min_by",
    "next_",
    "nullif",
    "pattern_from_sql",
    "power",
    "prev",
    "process_map",
    "processor",
    "ref",
    "river_detector",
    "round",
    "seq",
    "sql",
    "sql_lookup",
    "to_ocel",
    "to_xes",
    "udf",
    "user_aggregate",
    "when",
    "window",
    "window_from_sql",
]


# Where names are that are read only when they are asked for: who matches a table needs none of them.
_HOMES = {
    "App": "cepheid.runtime.app",
    "AppStats": "cepheid.runtime.app_stats",
    "AppTest": "cepheid.runtime.app_test",
    "BatchStats": "cepheid.runtime.batching",
    "Cache": "cepheid.runtime.cache",
    "CacheStats": "cepheid.runtime.cache",
    "CesqlFault": "cepheid.cesql",
    "CesqlMask": "cepheid.cesql",
    "CesqlResult": "cepheid.cesql",
    "CircuitBreaker": "cepheid.runtime.policy",
    "CloudEventsSql": "cepheid.cesql",
    "DeadLetter": "cepheid.runtime.dead_letters",
    "EventSchema": "cepheid.schema",
    "HandlerStats": "cepheid.runtime.app_stats",
    "JsonText": "cepheid.schema",
    "Retry": "cepheid.runtime.policy",
    "SchemaRegistry": "cepheid.schema",
    "SqlLookup": "cepheid.database_lookup",
    "VirtualClock": "cepheid.runtime.clock",
    "sql_lookup": "cepheid.database_lookup",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "cepheid.store")), name)
    raise AttributeError(f"module `cepheid` has no attribute `{name}`")
