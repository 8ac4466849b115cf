"""The event store: what happened, in order, for as long as it is to be kept."""

from cepheid.store.aggregate import Aggregate, Handled, Loaded
from cepheid.store.command import Command
from cepheid.store.event_store import EventStore
from cepheid.store.events import StoredEvents
from cepheid.store.position import Position
from cepheid.store.process_manager import ProcessManager
from cepheid.store.projection import Projection, ProjectionHealth
from cepheid.store.replay import Replay, ReplayStep
from cepheid.store.report import StoreReport
from cepheid.store.stream_event import StreamEvent
from cepheid.store.subscription import Subscription
from cepheid.store.transaction import Transaction
from cepheid.store.upcasting import Upcasters
from cepheid.store.verification import StoreInfo, TopicInfo, Verification

__all__ = [
    "Aggregate",
    "Command",
    "EventStore",
    "Handled",
    "Loaded",
    "Position",
    "ProcessManager",
    "Projection",
    "ProjectionHealth",
    "Replay",
    "ReplayStep",
    "StoreInfo",
    "StoreReport",
    "StoredEvents",
    "StreamEvent",
    "Subscription",
    "TopicInfo",
    "Transaction",
    "Upcasters",
    "Verification",
]
