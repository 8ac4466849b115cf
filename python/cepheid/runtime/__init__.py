"""The app: events come in, are stored, matched, routed, processed, and acted upon."""

from cepheid.runtime.app import App
from cepheid.runtime.app_stats import AppStats, HandlerStats
from cepheid.runtime.app_test import AppTest
from cepheid.runtime.batching import BatchStats
from cepheid.runtime.clock import VirtualClock
from cepheid.runtime.dead_letters import DeadLetter
from cepheid.runtime.policy import CircuitBreaker, Retry

__all__ = [
    "App",
    "AppStats",
    "AppTest",
    "BatchStats",
    "CircuitBreaker",
    "DeadLetter",
    "HandlerStats",
    "Retry",
    "VirtualClock",
]
