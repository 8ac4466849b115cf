"""What an app is made of: its sources, its rules, its handlers and actions, as a program names them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cepheid.building import checked_name
from cepheid.connectors.protocol import Source
from cepheid.engine_options import Rule, checked_rule
from cepheid.errors import AppError
from cepheid.runtime.app_managing import AppManaging
from cepheid.runtime.follower_checks import follower_spec, wanted_topics
from cepheid.runtime.follower_spec import FollowerSpec, Key
from cepheid.runtime.generated_source import GeneratedSource
from cepheid.runtime.policy import CircuitBreaker, Retry
from cepheid.runtime.rules_folder import RulesFolder

if TYPE_CHECKING:
    from cepheid.runtime.running import Running

__all__ = ["AppParts"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class AppParts(AppManaging):
    """The part of an `App` that names what it is made of."""

    _running: Running | None
    _sources: dict[str, tuple[Source, str | None, Any]]
    _rules_path: tuple[Path, Any] | None

    def source(
        self,
        source: Source | None = None,
        *,
        name: str | None = None,
        topic: str | None = None,
        mapper: Any = None,
    ) -> Any:
        """Has events come from a source, once the app runs.

        Args:
            source: A source: see `cepheid.connectors`. Left out, it is a decorator of a function without arguments that
                yields events, asynchronously or not; each as for `publish`, or a pair of a type and such.
            name: What its offsets are saved under. None: the source's own name, or that of the function.
            topic: The type of its events, if they do not say.
            mapper: What makes events of what it gives: see `SchemaRegistry.ingest`.

        Returns:
            The source, or the function.

        Raises:
            TypeError: It is no source.
            AppError: There is one of this name (code ``duplicate-name``), or the app runs (code ``app-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("clock")
            >>> @app.source(topic="tick")
            ... def ticks():
            ...     yield {"count": 1}
            ...     yield {"count": 2}
            >>> seen = []
            >>> @app.on("tick")
            ... def tick(event):
            ...     seen.append(event["count"])
            >>> app.run()
            >>> seen
            [1, 2]
        """
        if source is None:

            def decorate(function: _Function) -> _Function:
                if not callable(function):
                    raise TypeError(f"a source is a function that yields events, not {type(function).__name__}")
                given = getattr(function, "__name__", "source") if name is None else name
                self._add_source(GeneratedSource(function, checked_name(given, "source")), topic, mapper)
                return function

            return decorate
        if not isinstance(source, Source):
            raise TypeError(f"a source has a name and run(feed), as those of cepheid.connectors; not {source!r:.100}")
        self._add_source(source, topic, mapper)
        return source

    def _add_source(self, source: Source, topic: str | None, mapper: Any) -> None:
        if self._running is not None:
            raise AppError("sources are named before the app runs", code="app-running", source=source.name)
        if source.name in self._sources:
            raise AppError(
                f"there is a source `{source.name}` already; give one of them another name",
                code="duplicate-name",
                source=source.name,
            )
        self._sources[source.name] = (source, topic, mapper)

    def add(self, rule: Rule, *, history: bool = True) -> None:
        """Adds a rule; while the app runs, with the state that it would have had.

        Args:
            rule: A pattern, a window, an anomaly rule or a processor. One without a name is called after its place,
                ``rule-3``. It names the topics that it reads.
            history: While the app runs: whether it is shown what came before, as far back as its state reaches. What it
                derives of that is not told.

        Raises:
            TypeError: It is none of these.
            PatternError: It is impossible, or there is one of its name (code ``duplicate-rule``).
            AppError: It names no topic, or derives one that there cannot be, as ``cepheid.*`` or one of more than 255
                bytes (code ``rule-topic``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> app.add(cep.event("large", "amount > 500", topic="order").named("large"))
            >>> app.rules
            ('large',)
        """
        rule = checked_rule(rule)
        if rule.name is None:
            place = len(self._rules) + 1
            while f"rule-{place}" in self._rules:
                place += 1
            rule = rule.named(f"rule-{place}")
        self._add_rule(rule, history)

    def rules_from(self, folder: str | os.PathLike[str], *, poll: str | dt.timedelta = "1s") -> None:
        """Has rules come from a folder too: files that are put there, changed, or removed while the app runs.

        ``NAME.json`` is what ``to_json()`` of a pattern, a window or an anomaly rule gives, ``NAME.sql`` a query of a
        topic; each is rule ``NAME``. ``NAME.json.disabled`` is disabled. No file is run as a program. A file that is no
        rule changes nothing; that is an event of topic ``cepheid.rule`` as every change is, and goes to the log.

        Args:
            folder: The folder.
            poll: How often it is looked at.

        Raises:
            AppError: There is none (code ``rules-folder``), or the app runs (code ``app-running``).

        Example:
            >>> import pathlib, tempfile
            >>> import cepheid as cep
            >>> folder = pathlib.Path(tempfile.mkdtemp())
            >>> _ = (folder / "large.json").write_text(cep.event("a", "amount > 500", topic="order").to_json())
            >>> app = cep.App("shop")
            >>> app.rules_from(folder, poll="0s")
            >>> with app.test() as test:
            ...     _ = test.publish("order", amount=900)
            ...     len(test.events("large"))
            1
        """
        if self._running is not None:
            raise AppError("the folder of rules is named before the app runs", code="app-running")
        # What is wrong with it is said now.
        self._rules_path = (RulesFolder(folder, poll).path, poll)

    def _folder_now(self) -> RulesFolder | None:
        return None if self._rules_path is None else RulesFolder(*self._rules_path)

    def on(
        self,
        topics: str | Iterable[str],
        *,
        where: Any = None,
        batch: bool = False,
        priority: int = 0,
        concurrency: int = 1,
        key: Key = None,
        retries: int | Retry = 5,
        timeout: str | dt.timedelta | None = None,
        name: str | None = None,
        from_start: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Has a function called for the events of topics, once they are stored.

        It is given an event as a dict, or a `pyarrow.Table` of many; it may be a coroutine function. What it gives is
        published: an event as a dict with its ``type``, a pair of a type and an event or a table, any number of these,
        or None. That is committed with how far the handler has got: it is there once, also if the function was called
        twice because of a crash in between.

        Events of one key go one after the other, and none overtakes another; those without a key wait for nobody. One
        whose attempts have all failed becomes a dead letter, and with it those of its key that follow, until `retry` or
        `discard`; others go on.

        Args:
            topics: Topics, or patterns: ``*`` is any one part between dots, ``>`` at the end one or more. Topics of the
                app's own, ``cepheid.*``, are named by patterns that begin so.
            where: A condition on an event: an expression, SQL text, or a `CloudEventsSql`.
            batch: Whether it is given tables: of one topic each, of some thousand rows at most.
            priority: From 0 to 9: each step doubles its share of the calls where there are more than can be made.
            concurrency: How many calls may be under way at once.
            key: The column, or a function of the event, that says which events keep their order. None: the column
                ``partitionkey``.
            retries: How often a call that failed is made again, or a `Retry`.
            timeout: How long a call may take. A function that is no coroutine cannot be stopped: it counts as failed,
                and its thread as one at work until it ends.
            name: What its progress is saved under. None: the name of the function.
            from_start: Whether a handler that is new begins with the first event of the store, and not the next.

        Raises:
            TypeError: An argument is of the wrong type.
            PatternError: An argument is out of range.
            AppError: There is one of this name (code ``duplicate-name``), or the app runs (code ``app-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> @app.on("order.*", where="amount > 100")
            ... def large(event):
            ...     return {"type": "note", "text": f"{event['type']} of {event['amount']}"}
            >>> with app.test() as test:
            ...     _ = test.publish("order.paid", amount=900)
            ...     [event["text"] for event in test.events("note")]
            ['order.paid of 900']
        """
        wanted_topics(topics, "a handler")

        def decorate(function: _Function) -> _Function:
            self._follow(
                follower_spec(
                    function,
                    topics,
                    name=name,
                    where=where,
                    is_action=False,
                    batch=batch,
                    priority=priority,
                    concurrency=concurrency,
                    key=key,
                    retries=retries,
                    timeout=timeout,
                    rate=None,
                    breaker=None,
                    idempotent_by=None,
                    from_start=from_start,
                )
            )
            return function

        return decorate

    def action(
        self,
        topics: str | Iterable[str],
        action: Any = None,
        *,
        where: Any = None,
        priority: int = 0,
        concurrency: int = 1,
        key: Key = None,
        retries: int | Retry = 5,
        timeout: str | dt.timedelta | None = "30s",
        rate: float | str | None = None,
        breaker: CircuitBreaker | None = None,
        idempotent_by: Key = None,
        name: str | None = None,
        from_start: bool = False,
    ) -> Any:
        """Has something done about the events of topics: a decorator, or with one of `cepheid.actions`.

        The log is the outbox: an event that a rule derived is committed with what it came of, and the action follows.
        What was done is an event of topic ``cepheid.action``. An action may happen again after a crash that came
        between it and that event, with the same idempotency key; whoever is told can tell by that.

        A function is given the event as a dict and, if it has a second parameter, an `ActionContext`. What it returns
        is not looked at. It may raise an `ActionError` to say that another attempt has no use, or when to make it.

        Args:
            topics: As for `on`.
            action: What is to be done. None: the function below.
            where: As for `on`.
            priority: As for `on`.
            concurrency: As for `on`.
            key: As for `on`.
            retries: As for `on`.
            timeout: As for `on`.
            rate: How often it may be done: a number a second, or text such as ``"10/s"``, ``"100/m"``.
            breaker: What stops attempts for a while after many have failed.
            idempotent_by: The column, or a function of the event, for each value of which it is done once, however many
                events there are; once done it is remembered for good. None: for each event.
            name: As for `on`; of an object that has one, its name.
            from_start: As for `on`.

        Returns:
            The action, or the function.

        Raises:
            TypeError: An argument is of the wrong type.
            PatternError: An argument is out of range.
            AppError: As for `on`.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> told = []
            >>> @app.action("order.lost", idempotent_by="order")
            ... def tell(event):
            ...     told.append(event["order"])
            >>> with app.test() as test:
            ...     for order in (7, 7, 8):
            ...         _ = test.publish("order.lost", order=order)
            ...     [event["outcome"] for event in test.events("cepheid.action")]
            ['done', 'repeated', 'done']
            >>> told
            [7, 8]
        """
        wanted_topics(topics, "an action")

        def decorate(function: Any) -> Any:
            self._follow(
                follower_spec(
                    function,
                    topics,
                    name=name,
                    where=where,
                    is_action=True,
                    batch=False,
                    priority=priority,
                    concurrency=concurrency,
                    key=key,
                    retries=retries,
                    timeout=timeout,
                    rate=rate,
                    breaker=breaker,
                    idempotent_by=idempotent_by,
                    from_start=from_start,
                )
            )
            return function

        return decorate if action is None else decorate(action)

    def _follow(self, spec: FollowerSpec) -> None:
        if self._running is not None:
            raise AppError(f"handlers and actions are named before the app runs: `{spec.name}`", code="app-running")
        if spec.name in self._specs:
            raise AppError(
                f"there is a handler or an action `{spec.name}` already; say name='...'", code="duplicate-name"
            )
        self._specs[spec.name] = spec
