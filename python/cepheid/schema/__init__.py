"""Events on their way in: schemas, CloudEvents, JSON to Arrow, and what becomes of what is no event."""

from cepheid.schema.cloudevents import to_cloudevents, to_legacy
from cepheid.schema.event_schema import EventSchema
from cepheid.schema.faults import Rejected
from cepheid.schema.http_binding import http_events
from cepheid.schema.ingesting import Ingested
from cepheid.schema.json_text import JsonText
from cepheid.schema.linting import Lint
from cepheid.schema.registry import SchemaRegistry

__all__ = [
    "EventSchema",
    "Ingested",
    "JsonText",
    "Lint",
    "Rejected",
    "SchemaRegistry",
    "http_events",
    "to_cloudevents",
    "to_legacy",
]
