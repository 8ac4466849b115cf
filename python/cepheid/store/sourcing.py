"""What a store is asked and told where events are the source of states."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from cepheid.store.handle import StoreHandle

if TYPE_CHECKING:
    from cepheid.store.aggregate import Aggregate
    from cepheid.store.inline import InlineProjections
    from cepheid.store.projection import Projection

__all__ = ["StoreSourcing"]


class StoreSourcing(StoreHandle):
    """The part of an `EventStore` that aggregates and projections need."""

    __slots__ = ()

    # Held by whoever saves the state of a projection: what it was made of must still be what is there.
    _states: threading.RLock
    _inline: InlineProjections | None

    def state_at(self, aggregate: Aggregate, id: Any, *, version: int | None = None, time: Any = None) -> Any:
        """The state of a thing as it was after so many events, or at a time: `Aggregate.state_at`.

        Args:
            aggregate: What kind of thing it is.
            id: Which one.
            version: After so many events.
            time: When, in event time. Say this or `version`.

        Raises:
            TypeError: Both are given, or none.
            StoreError: The stream has not had so many events yet (code ``unknown-version``), or events that the state
                is made of are kept no longer (code ``events-removed``).

        Example:
            >>> import cepheid as cep
            >>> orders = cep.Aggregate("order", initial=list)
            >>> @orders.on("order.*")
            ... def seen(state, event):
            ...     return [*state, event.topic]
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 10}], stream="order-7")
            ...     position = store.append("order.paid", [{"ts": 20}], stream="order-7")
            ...     store.state_at(orders, 7, time=15)
            ['order.created']
        """
        return aggregate.state_at(self._store(), id, version=version, time=time)

    def attach(self, *projections: Projection) -> None:
        """Keeps projections as new as the store: whatever this handle appends from now on is folded before it is there.

        Their states are saved in the transaction of the events: nobody ever sees one without the other. A function that
        raises keeps the events from being appended. They are brought up to the present first.

        Attach them whenever the store is opened to be written: a store knows no functions. What is appended while they
        are not attached is folded when they are.

        Args:
            projections: The projections. Each append folds, and saves, the whole state of those whose topics it has:
                they should be small.

        Raises:
            StoreError: The saved state is of another version of a projection (code ``projection-version``), or events
                that it needs are kept no longer (code ``events-removed``).
            FoldError: A function of a projection raised.

        Example:
            >>> import cepheid as cep
            >>> total = cep.Projection("total", initial=0)
            >>> @total.on("order.paid")
            ... def paid(state, events):
            ...     return state + sum(events["amount"].to_pylist())
            >>> with cep.EventStore() as store:
            ...     store.attach(total)
            ...     position = store.append("order.paid", {"ts": [1, 2], "amount": [5, 7]})
            ...     (total.state(store), total.position(store))
            (12, 2)
        """
        from cepheid.store.inline import InlineProjections

        store = self._store()
        with store._states:
            if store._inline is None:
                store._inline = InlineProjections(store)
            store._inline.attach(projections)

    def detach(self, *projections: Projection) -> None:
        """No longer folds projections with each append; none named: all of them.

        Example:
            >>> import cepheid as cep
            >>> total = cep.Projection("total", initial=0)
            >>> with cep.EventStore() as store:
            ...     store.attach(total)
            ...     store.detach(total)
        """
        store = self._store()
        with store._states:
            if store._inline is not None and not store._inline.detach(projections):
                store._inline = None
