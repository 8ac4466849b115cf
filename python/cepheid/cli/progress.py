"""A progress bar on standard error, for what takes longer than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

__all__ = ["progress"]

_QUIET_S = 0.5
_REDRAW_S = 0.1
_WIDTH = 30


def progress(batches: Iterable[Any], title: str, total: int | None, *, to: TextIO | None = None) -> Iterator[Any]:
    """The batches, with their rows counted before the user's eyes if standard error is a terminal.

    Args:
        batches: Objects with ``num_rows``.
        title: What is being done.
        total: Rows in all, if that is known.
        to: Where to draw; standard error by default.
    """
    stream = sys.stderr if to is None else to
    if not stream.isatty():
        yield from batches
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        yield from _plain(batches, title, total, stream)
        return
    started = time.monotonic()
    rows = 0
    bar: Progress | None = None
    try:
        for batch in batches:
            yield batch
            rows += batch.num_rows
            if bar is None and time.monotonic() - started > _QUIET_S:
                bar = Progress(console=Console(file=stream), transient=True)
                bar.start()
                task = bar.add_task(title, total=total)
            if bar is not None:
                bar.update(task, completed=rows)
    finally:
        if bar is not None:
            bar.stop()


def _plain(batches: Iterable[Any], title: str, total: int | None, stream: TextIO) -> Iterator[Any]:
    started = drawn = time.monotonic()
    rows = 0
    shown = False
    try:
        for batch in batches:
            yield batch
            rows += batch.num_rows
            now = time.monotonic()
            if now - started > _QUIET_S and now - drawn > _REDRAW_S:
                drawn, shown = now, True
                stream.write("\r" + _bar(title, rows, total))
                stream.flush()
    finally:
        if shown:
            stream.write("\r\x1b[K")
            stream.flush()


def _bar(title: str, rows: int, total: int | None) -> str:
    if not total:
        return f"{title}: {rows:,} rows"
    filled = min(_WIDTH * rows // total, _WIDTH)
    return f"{title}: [{'#' * filled}{'.' * (_WIDTH - filled)}] {rows:,} of {total:,} rows"
