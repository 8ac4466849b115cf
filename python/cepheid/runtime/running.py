"""An app that runs: its store, its rules, what follows them, and the sources; from its start to its end."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from cepheid.actions.protocol import ActionContext
from cepheid.connectors.protocol import Source
from cepheid.errors import AppError, SchemaError
from cepheid.runtime.batching import AdaptiveBatching
from cepheid.runtime.checkpoint import CHECKPOINT
from cepheid.runtime.circles import Circles
from cepheid.runtime.clock import Clock
from cepheid.runtime.core import Core
from cepheid.runtime.dispatcher import CURRENT_TASK, Dispatcher
from cepheid.runtime.executors import Executor, InlineExecutor, LoopThread, ThreadedExecutor
from cepheid.runtime.feeding import RunningSource, SourceFeed
from cepheid.runtime.follower import Follower
from cepheid.runtime.follower_spec import FollowerSpec
from cepheid.runtime.given import several
from cepheid.runtime.group_snapshot import RuleDifferences
from cepheid.runtime.inbox import CommitTicket, Inbox, Rejection, Submission
from cepheid.runtime.outcomes import StoredMemory, events_given
from cepheid.runtime.own_topics import ACTION, OWN_PREFIX, rejections
from cepheid.runtime.pipeline import Pipeline
from cepheid.runtime.rule_events import rule_change_event, rule_fingerprint, rule_text
from cepheid.runtime.rule_group import RuleGroup
from cepheid.runtime.rule_history import History
from cepheid.runtime.rules_folder import RulesFolder
from cepheid.runtime.rules_watcher import RulesWatcher
from cepheid.runtime.settings import Settings
from cepheid.runtime.task import Task
from cepheid.schema import SchemaRegistry
from cepheid.store.event_store import EventStore

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Running"]

_LOG = logging.getLogger("cepheid.app")

# How long sources have to end, of those that are told to.
_SOURCE_S = 10.0


@final
class Running:
    """See the module.

    Args:
        name: The app's name.
        store: The path of its store, a store that is open, or None for one that is gone in the end.
        registry: The schemas.
        rules: The rules, by name.
        settings: What the app was told.
        specs: The handlers and actions.
        clock: The clock.
        folder: The folder that more rules are in, or None.
        inline: Whether all happens in the thread that asks for it, as in a test.
    """

    def __init__(
        self,
        name: str,
        store: str | os.PathLike[str] | EventStore | None,
        registry: SchemaRegistry,
        rules: dict[str, Any],
        settings: Settings,
        specs: Iterable[FollowerSpec],
        clock: Clock,
        *,
        folder: RulesFolder | None,
        inline: bool,
    ) -> None:
        self.name = name
        self._watcher: RulesWatcher | None = None
        self.settings = settings
        self.registry = registry
        self.clock = clock
        self._inline = inline
        self._in_round = False
        self._knows_store = False
        self._ids = 0
        self._prefix = "test" if inline else uuid.uuid4().hex
        self._ids_lock = threading.Lock()
        self._owns_store = not isinstance(store, EventStore)
        self.store = self._opened(store)
        self._sources: list[RunningSource] = []
        self._loop: LoopThread | None = None
        self.source_failure: AppError | None = None
        self._on_change: list[Callable[[], None]] = []
        try:
            disabled: set[str] = set()
            if folder is not None:
                self._watcher = RulesWatcher(folder, set(rules))
                more, disabled = self._watcher.first()
                rules = {**rules, **more}
            self._build(rules, disabled, settings, list(specs))
        except BaseException:
            if self._loop is not None:
                self._loop.close()
            self._close_store()
            raise

    def _opened(self, store: str | os.PathLike[str] | EventStore | None) -> EventStore:
        if isinstance(store, EventStore):
            if store._claims is not None:
                raise AppError(
                    "an app runs with this store already; another one needs a store of its own", code="store-claimed"
                )
            if store._event_time != "time":
                raise AppError(
                    f"the store's event time is the column `{store._event_time}`; an app's is `time`: make it with "
                    "EventStore(path, event_time='time')",
                    code="store-event-time",
                )
            return store
        path = None if store is None else Path(store)
        return EventStore(path, event_time="time", author=f"app {self.name}", clock=self._recorded)

    def _recorded(self) -> dt.datetime:
        # While it is being opened there is no pipeline yet.
        pipeline = getattr(self, "pipeline", None)
        return self.clock.now() if pipeline is None else pipeline.now

    def _build(self, rules: dict[str, Any], disabled: set[str], settings: Settings, specs: list[FollowerSpec]) -> None:
        options = settings.engine_options()

        def make_rules(snapshot: bytes | None) -> tuple[RuleGroup, RuleDifferences]:
            if snapshot is None:
                return RuleGroup(rules, event_time="time", ids=True, **options), RuleDifferences((), (), ())
            # Rules that hold Python functions are not in the snapshot: they are as they were last, or as given first.
            current = getattr(self.pipeline, "rules", None)
            known = rules if current is None else {**rules, **current.rules}
            return RuleGroup.restore(snapshot, known, threads=settings.threads, memory_limit=settings.memory_limit)

        # Of undeclared types it is to know what this store says, and nothing that another run has seen.
        self.registry._begin()
        self._knows_store = True
        for topic in self.store.info().topics:
            if not topic.startswith(OWN_PREFIX):
                self._learn(topic)
        self.pipeline = Pipeline(
            self.name,
            self.store,
            make_rules,
            self.clock,
            checkpoint_s=settings.checkpoint_s,
            future=settings.future,
            lateness=settings.lateness,
            new_id=self.new_id,
        )
        self.pipeline.recover()
        self.inbox = Inbox(settings.waiting_max)
        self.executor: Executor
        if self._inline:
            self.executor = InlineExecutor()
        else:
            self._loop = LoopThread()
            self.executor = ThreadedExecutor(self._loop.loop)
        self.circles = Circles(self.name, settings.depth_max, lambda: self.pipeline.rules.rules)
        self.followers = [Follower(self.name, spec, self.store, self.circles) for spec in specs]
        self._begin_followers()
        self.dispatcher = Dispatcher(
            self.followers,
            self.executor,
            self.clock,
            workers=settings.workers,
            call=self._call,
            wake=self.inbox.wake,
        )
        self.batching = AdaptiveBatching(settings.latency_s)
        self.core = Core(
            self.name,
            self.store,
            self.pipeline,
            self.inbox,
            self.dispatcher,
            self.batching,
            self.clock,
            quiet=settings.quiet,
            lateness=settings.lateness,
            new_id=self.new_id,
            looks_again=not self._inline,
        )
        self.core.on_failure = self._failed
        self.store._claim(self.pipeline.claims)
        self._settle_rules(rules, disabled)

    def _learn(self, topic: str) -> None:
        """Has the registry know the columns that a topic has in the store."""
        try:
            self.registry.learn(topic, self.store.read(topic).schema)
        except SchemaError as error:
            # Others have stored what cannot come in by an app, a map say: what comes of this type says for itself.
            _LOG.warning("columns of topic `%s` are not known: %s", topic, error)

    def _settle_rules(self, rules: dict[str, Any], disabled: set[str]) -> None:
        """Makes the rules those that the program has, and writes down what has changed since it ran last."""
        group, differences = self.pipeline.rules, self.pipeline.differences
        wanted_off = (group.disabled & rules.keys()) | disabled
        if self.store.load(CHECKPOINT) is None:
            changed = [self._rule_changed("added", name, rule) for name, rule in rules.items()]
        else:
            changed = [
                *(self._rule_changed("added", name, rules[name]) for name in differences.new),
                *(self._rule_changed("replaced", name, rules[name]) for name in differences.changed),
                *(self._rule_changed("removed", name, None) for name in differences.gone),
            ]
        if changed or wanted_off != group.disabled:
            self.core.change_rules(lambda one, past: one.change(rules, past, disabled=wanted_off), changed)
        gone: dict[str, Any] = dict.fromkeys(differences.gone)
        self.store.note_rules({**gone, **rules})

    def _rule_changed(self, kind: str, name: str, rule: Any, author: str | None = None) -> dict[str, Any]:
        return rule_change_event(
            kind,
            name,
            None if rule is None else rule_fingerprint(rule),
            None if rule is None else rule_text(rule),
            f"app {self.name}" if author is None else author,
            self.clock.now(),
        )

    def change_rules(
        self,
        kind: str,
        name: str,
        rule: Any,
        change: Callable[[RuleGroup, History], Any],
        *,
        author: str | None = None,
    ) -> None:
        """Changes a rule while the app runs, and writes it down."""
        self.core.ask(lambda: self.core.change_rules(change, [self._rule_changed(kind, name, rule, author)]))
        if kind in ("added", "replaced", "removed"):
            self.store.note_rules({name: rule})

    def note_refusal(self, name: str, text: str | None, reason: str) -> None:
        """Writes down that a rule was not taken."""
        refused = rule_change_event("refused", name, None, text, f"app {self.name}", self.clock.now(), reason=reason)
        self.core.ask(lambda: self.core.change_rules(None, [refused]))

    def go_on(self) -> None:
        """In a test: does what there is to do now."""
        if self._inline:
            self.run_round_until_idle()
        else:
            self.inbox.wake()

    def _begin_followers(self) -> None:
        """Those that are new begin where they are to, and it is on the disk before anything else is."""
        fresh = [follower for follower in self.followers if self.store.load(follower.state_name) is None]
        if fresh:
            end = self.store.end
            with self.store.transaction() as changes:
                for follower in fresh:
                    follower.start_at(0 if follower.spec.from_start else end)
                    follower.save_to(changes)

    # Its life.

    def start(self, sources: Iterable[tuple[Source, str | None, Any]], loop: asyncio.AbstractEventLoop | None) -> None:
        """Begins: the core, and then the sources."""
        if loop is not None and isinstance(self.executor, ThreadedExecutor):
            self.executor.use(loop)
        if not self._inline:
            self.core.start()
            if self._watcher is not None:
                self._watcher.start(self)
        for source, topic, mapper in sources:
            feed = SourceFeed(self, source.name, topic, mapper)
            self._sources.append(RunningSource(source, feed, self._source_ended))
        for running in self._sources:
            running.start()

    def _failed(self, error: BaseException) -> None:
        _LOG.critical("app `%s` has failed, and does nothing more", self.name, exc_info=error)
        self._notify()

    def _source_ended(self, failure: AppError | None) -> None:
        if failure is not None:
            _LOG.error("%s", failure, exc_info=failure)
            self.source_failure = self.source_failure or failure
        self._notify()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Has a function called when something has ended or failed."""
        self._on_change.append(callback)

    def _notify(self) -> None:
        for callback in self._on_change:
            callback()

    @property
    def failure(self) -> BaseException | None:
        """What has ended it; None: nothing has."""
        return self.core.failure or self.source_failure

    @property
    def sources_ended(self) -> bool:
        """Whether there were sources, and all have ended."""
        return bool(self._sources) and all(source.has_ended for source in self._sources)

    def drain(self, seconds: float) -> bool:
        """Waits until all that has come is dealt with; gives whether it is."""
        if self._inline:
            self.run_round_until_idle()
            return True
        end = self.clock.elapsed() + seconds
        while self.core.failure is None:
            if self.core.ask(lambda: self.core.is_done):
                return True
            if self.clock.elapsed() >= end:
                return False
            time.sleep(0.02)
        return False

    def stop_sources(self) -> None:
        """Tells sources to end, and waits for them a while."""
        if self._watcher is not None:
            self._watcher.stop()
        for source in self._sources:
            source.stop(0.0)
        for source in self._sources:
            source.stop(_SOURCE_S)

    def close(self, grace_s: float) -> None:
        """Ends it: sources first; what has come is committed, attempts under way end, and what is known is saved."""
        self.stop_sources()
        failed = self.core.failure is not None
        if not failed and not self._inline:
            self.dispatcher.starts = False
            end = self.clock.elapsed() + grace_s
            while self.clock.elapsed() < end and self.core.failure is None:
                if not len(self.inbox) and not self.dispatcher.running:
                    break
                time.sleep(0.005)
        self.core.stop()
        left = self.inbox.close(AppError(f"app `{self.name}` has been closed", code="app-closed"))
        failed = self.core.failure is not None
        try:
            if not failed:
                if left:
                    self.core.commit_last(left)
                self.core.close()
        finally:
            self.dispatcher.close()
            self._close_actions()
            if self._loop is not None:
                self._loop.close()
            self._close_store()

    def _close_actions(self) -> None:
        """Actions let go of what they hold; what is wrong with that is no reason not to end."""
        for follower in self.followers:
            close = getattr(follower.spec.function, "close", None)
            if follower.spec.is_action and callable(close):
                try:
                    close()
                except Exception:
                    _LOG.exception("action `%s` could not be closed", follower.spec.name)

    def _close_store(self) -> None:
        if self._knows_store:
            self.registry._end()
            self._knows_store = False
        self.store._claim(None)
        if self._owns_store:
            self.store.close()

    def abandon(self) -> None:
        """Ends it as a crash would: nothing is saved. For tests."""
        for source in self._sources:
            source.stop(_SOURCE_S)
        self.core.stop()
        self.inbox.close(AppError(f"app `{self.name}` has been abandoned", code="app-closed"))
        self.dispatcher.close()
        if self._loop is not None:
            self._loop.close()
        self._close_store()

    # In.

    def new_id(self) -> str:
        """An id that nothing else has; in a test, one that the same test gives again."""
        with self._ids_lock:
            self._ids += 1
            return f"{self._prefix}-{self._ids}"

    def take(
        self,
        data: Any,
        *,
        topic: str | None,
        source: str,
        offset: bytes | None = None,
        mapper: Any = None,
        is_source: bool = False,
        wait: bool = True,
    ) -> CommitTicket:
        """Takes events, as rows with their envelope, into the inbox. See `cepheid.connectors.Feed.send`."""
        submission = self.submission(
            data, topic=topic, source=source, offset=offset, mapper=mapper, is_source=is_source
        )
        self.inbox.put(submission, at=self.clock.elapsed(), wait=wait and not self._inline)
        return submission.ticket

    async def take_soon(self, data: Any, *, topic: str | None, source: str) -> CommitTicket:
        """Takes events once there is room for them, and lets the loop go on meanwhile."""
        submission = self.submission(data, topic=topic, source=source)
        if self._inline:
            self.inbox.put(submission, at=self.clock.elapsed(), wait=False)
        else:
            await self.inbox.put_soon(submission, at=self.clock.elapsed())
        return submission.ticket

    def submission(
        self,
        data: Any,
        *,
        topic: str | None,
        source: str,
        offset: bytes | None = None,
        mapper: Any = None,
        is_source: bool = False,
    ) -> Submission:
        """Events as rows with their envelope, and what could not become one."""
        self._check_open()
        now = self.clock.now()
        task = CURRENT_TASK.get()
        prefix = self.new_id() if task is None else self.circles.marked(self.new_id(), task)
        found = self.registry.ingest(
            several(data), topic=topic, source=source, received=now, id_prefix=prefix, mapper=mapper
        )
        if task is not None:
            self.circles.note(task, (topic for topic, _ in found.batches))
        rejected = [Rejection(one.payload, one.reason, one.code, one.topic, source) for one in found.rejected]
        batches, refused = self._from_outside(found.batches, source)
        return Submission(
            batches=batches,
            rejected=[*rejected, *refused],
            source=source if is_source else None,
            offset=offset,
            ticket=CommitTicket(self._help if self._inline else None),
        )

    def _from_outside(
        self, batches: Iterable[tuple[str, pa.Table]], source: str
    ) -> tuple[list[tuple[str, pa.Table]], list[Rejection]]:
        """What may be stored of what comes: topics of the app's own, and what its rules derive, it alone appends to."""
        kept: list[tuple[str, pa.Table]] = []
        refused: list[Rejection] = []
        for topic, table in batches:
            if topic.startswith(OWN_PREFIX):
                why = f"`{topic}` is a topic of the app's own; give the event another type"
                refused += rejections(topic, table, source, code="own-topic", reason=why)
            elif topic in self.pipeline.derives:
                why = f"rules derive topic `{topic}`, and nobody else may; give the event another type, or the rule"
                refused += rejections(topic, table, source, code="derived-topic", reason=why)
            else:
                kept.append((topic, table))
        return kept, refused

    def take_rejected(
        self, payload: bytes, reason: str, *, code: str, topic: str | None, source: str, offset: bytes | None
    ) -> CommitTicket:
        """Takes what is no event. See `cepheid.connectors.Feed.reject`."""
        self._check_open()
        submission = Submission(
            rejected=[Rejection(bytes(payload), reason, code, topic, source)],
            source=source,
            offset=offset,
            ticket=CommitTicket(self._help if self._inline else None),
        )
        self.inbox.put(submission, at=self.clock.elapsed(), wait=not self._inline)
        return submission.ticket

    def offset_of(self, source: str) -> bytes | None:
        """How far a source had been read at the last commit."""
        return self.store.offset(source)

    def _check_open(self) -> None:
        if self.core.failure is not None:
            raise self.core.failure

    def _help(self) -> None:
        """In a test whoever waits for the disk has it written."""
        while self.core.commit_some():
            pass

    # Out.

    def _call(self, task: Task) -> Any:
        """An attempt; gives events and rejections to be committed with it, and whether it was not needed."""
        spec = task.follower.spec
        if spec.idempotent_by is not None and self.store._view.has_key(ACTION, task.idempotency_key):
            return [], [], True
        arguments = [task.events]
        if spec.takes_context:
            arguments.append(self.context_of(task))
        if task.given_up is not None:
            given = spec.function.give_up(task.events, self.context_of(task), task.given_up)
        else:
            given = spec.function(*arguments)
        if inspect.isawaitable(given):
            return self._awaited(task, given)
        return self._made(task, given)

    def context_of(self, task: Task) -> ActionContext:
        """What an action is told."""
        return ActionContext(
            action=task.follower.spec.name,
            key=task.idempotency_key,
            attempt=task.attempts,
            topic=task.topic,
            position=task.first,
            now=self.clock.now(),
            timeout=task.follower.spec.timeout_s,
            memory=StoredMemory(self.store, task),
        )

    async def _awaited(self, task: Task, given: Any) -> Any:
        # It runs in a context of the loop's.
        CURRENT_TASK.set(task)
        return self._made(task, await given)

    def _made(self, task: Task, given: Any) -> Any:
        if task.follower.spec.is_action:
            # What a webhook answers is no event.
            return [], [], False
        found, rejected = events_given(task, given, self.registry, self.circles, source=self.name, now=self.clock.now())
        self.circles.note(task, (topic for topic, _ in found))
        batches, refused = self._from_outside(found, self.name)
        return batches, [*rejected, *refused], False

    # In a test.

    def run_round_until_idle(self) -> float | None:
        """Goes on until nothing is to be done at this time; gives how long nothing will be, in seconds."""
        if self._in_round:
            # A handler asks: what there is to do is done once it has ended.
            return None
        self._in_round = True
        try:
            while True:
                wait = self.core.round()
                if self.core.failure is not None:
                    raise self.core.failure
                if wait != 0.0 and self.core.is_idle:
                    return wait
        finally:
            self._in_round = False
