"""Batches appended one after another: where they come from, and where they are."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cepheid.building import checked_name
from cepheid.input import exports_arrow, is_pandas
from cepheid.store.handle import checked_version, optional_name
from cepheid.store.position import Position

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore

__all__ = ["append_batches"]

_Made = tuple[int, int, int, int | None, bool]


def append_batches(
    store: EventStore, topic: str, batches: Any, *, stream: Any, expected_version: Any, idempotency_key: Any
) -> list[Position]:
    """See `EventStore.append_batches`."""
    store._check_unclaimed(checked_name(topic, "topic"))
    stream, key = optional_name(stream, "stream"), optional_name(idempotency_key, "idempotency_key")
    version, found = checked_version(expected_version), _iterator_of(batches)
    native = store._log("append to it")
    positions: list[Position] = []

    def written(made: list[_Made]) -> None:
        new = [Position(topic, *one) for one in made]
        positions.extend(new)
        store._announce(new)

    me = threading.get_ident()
    try:
        if store._inline is not None:
            # What follows a batch is in one transaction with it: they go one by one.
            expected = version
            for number, batch in enumerate(found):
                of_batch = None if key is None else f"{key}:{number}"
                made = store.append(topic, batch, stream=stream, expected_version=expected, idempotency_key=of_batch)
                positions.append(made)
                expected = None if expected is None else expected + made.events
            return positions
        tables = (store._columns.table(batch, topic, ahead=True) for batch in found)
        store._taking_from.add(me)
        native.append_batches(topic, tables, written, stream=stream, expected_version=version, idempotency_key=key)
    except BaseException as error:
        store._columns.forget()
        error.add_note(f"{len(positions)} batches before it have been appended")
        raise
    finally:
        store._taking_from.discard(me)
    return positions


def _iterator_of(batches: Any) -> Iterator[Any]:
    exports = hasattr(batches, "__arrow_c_stream__")
    if exports and exports_arrow(batches) and not is_pandas(batches):
        import pyarrow as pa

        return iter(pa.RecordBatchReader.from_stream(batches))
    # One table, a column, a text: what would give something when it is iterated over, and not what was meant.
    is_other = exports or hasattr(batches, "__arrow_c_array__") or isinstance(batches, (str, bytes, Mapping))
    if is_other or not isinstance(batches, Iterable):
        raise TypeError(
            f"batches are an iterable of tables or an Arrow stream, not {type(batches).__name__}: `append` takes one"
        )
    return iter(batches)
