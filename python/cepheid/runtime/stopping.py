"""Being told to stop: by signals, where a program has its main thread to itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

__all__ = ["stop_signals"]


@contextlib.contextmanager
def stop_signals(stop: StopEvent) -> Iterator[None]:
    """Has SIGINT and SIGTERM set an event; a second one is what it was before."""
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []

    def told(number: signal.Signals) -> None:
        stop.told = True
        stop.set()
        loop.remove_signal_handler(number)
        taken.remove(number)

    # Loops of Windows have no such handlers: there KeyboardInterrupt ends the loop.
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told, number)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


class StopEvent(asyncio.Event):
    """Is set when something has changed, or when the app is told to stop.

    Attributes:
        told: Whether it was told to stop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = False
