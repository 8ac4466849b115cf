"""The event store: what happened, in order, for as long as it is to be kept."""

from cepheid.store.event_store import EventStore
from cepheid.store.events import StoredEvents
from cepheid.store.position import Position
from cepheid.store.replay import Replay, ReplayStep
from cepheid.store.report import StoreReport
from cepheid.store.subscription import Subscription
from cepheid.store.transaction import Transaction
from cepheid.store.verification import StoreInfo, TopicInfo, Verification

__all__ = [
    "EventStore",
    "Position",
    "Replay",
    "ReplayStep",
    "StoreInfo",
    "StoreReport",
    "StoredEvents",
    "Subscription",
    "TopicInfo",
    "Transaction",
    "Verification",
]
