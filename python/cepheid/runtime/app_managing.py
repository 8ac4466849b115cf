"""What is asked of an app while it runs: its rules, its dead letters, how it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cepheid.building import checked_name
from cepheid.engine_options import Rule, checked_rule
from cepheid.errors import AppError, PatternError
from cepheid.names import nearest_name
from cepheid.runtime.app_stats import AppStats, HandlerStats
from cepheid.runtime.dead_letters import DeadLetter
from cepheid.runtime.group_rules import unknown_rule
from cepheid.runtime.own_topics import check_rule_topics
from cepheid.runtime.policy import seconds
from cepheid.runtime.rule_group import RuleGroup

if TYPE_CHECKING:
    from cepheid.runtime.follower import Follower
    from cepheid.runtime.follower_spec import FollowerSpec
    from cepheid.runtime.running import Running
    from cepheid.runtime.settings import Settings

__all__ = ["AppManaging"]


class AppManaging:
    """The managing half of an `App`."""

    _name: str
    _rules: dict[str, Rule]
    _specs: dict[str, FollowerSpec]
    _running: Running | None
    _settings: Settings

    def _running_now(self) -> Running:
        if self._running is None:
            raise AppError(
                f"app `{self._name}` does not run: say `with app:`, `async with app:` or app.run()",
                code="app-not-running",
            )
        return self._running

    # Rules.

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of its rules, those that are disabled too.

        Example:
            >>> import cepheid as cep
            >>> cep.App("shop", {"large": cep.event("large", "amount > 500", topic="order")}).rules
            ('large',)
        """
        return tuple(self._rules) if self._running is None else tuple(self._running.pipeline.rules.rules)

    def _add_rule(self, rule: Rule, history: bool) -> None:
        assert rule.name is not None
        if rule.name in self.rules:
            raise PatternError(f"there is a rule `{rule.name}` already; replace it", code="duplicate-rule")
        self._check_alone(rule)
        if self._running is None:
            self._rules[rule.name] = rule
            return
        self._running.change_rules(
            "added", rule.name, rule, lambda group, past: group.add(rule, past if history else None)
        )
        self._rules[rule.name] = rule

    def replace(self, name: str, rule: Rule, *, warm: Any = True) -> None:
        """Puts a new version of a rule in the place of the old one, while the app runs or before.

        The new version begins with the state that it would have had: the events of as much time as that can reach back
        are read from the store and shown to it, and what it derives of them is not told. Rules that are not touched go
        on as if nothing had happened. The change is an event of topic ``cepheid.rule``.

        Args:
            name: The rule.
            rule: The new version. It takes over the name. Of one that is disabled it stays so until `enable`, unless it
                was disabled as it had failed.
            warm: How much it is shown: True, as far as its state reaches; ``"history"``, everything; text such as
                ``"2h"`` or a timedelta, so much before the watermark; False, nothing.

        Raises:
            TypeError: An argument is of the wrong type.
            PatternError: There is no such rule (code ``unknown-rule``), or the rules are impossible together.
            AppError: The rule names no topic, or derives one that there cannot be (code ``rule-topic``).

        Example:
            >>> import cepheid as cep
            >>> def pair(more):
            ...     large = cep.event("b", f"amount > {more}", topic="order")
            ...     return (cep.event("a", "amount > 0", topic="order") >> large).within("1h").named("pair")
            >>> app = cep.App("shop", pair(900))
            >>> with app.test() as test:
            ...     _ = test.publish("order", amount=700)
            ...     app.replace("pair", pair(500))
            ...     _ = test.publish("order", amount=600)
            ...     len(test.events("pair"))
            1
        """
        rule = checked_rule(rule).named(checked_name(name, "rule"))
        self._check_rule(name)
        self._check_alone(rule)
        if self._running is None:
            self._rules[name] = rule
            return
        self._running.change_rules(
            "replaced", name, rule, lambda group, past: group.replace(name, rule, past, warm=warm)
        )
        self._rules[name] = rule

    def remove(self, name: str) -> None:
        """Takes a rule out.

        Args:
            name: The rule.

        Raises:
            PatternError: There is none (code ``unknown-rule``), or another reads what it derives (code ``rule-read``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop", {"large": cep.event("large", topic="order")})
            >>> app.remove("large")
            >>> app.rules
            ()
        """
        self._check_rule(name)
        if self._running is not None:
            self._running.change_rules("removed", name, None, lambda group, _: group.remove(name))
        self._rules.pop(name, None)

    def disable(self, name: str) -> None:
        """Has a rule derive nothing until it is enabled, while the app runs; it stays so after a restart.

        Args:
            name: The rule.

        Raises:
            PatternError: As for `remove`.
            AppError: The app does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop", {"large": cep.event("large", topic="order")})
            >>> with app.test() as test:
            ...     app.disable("large")
            ...     _ = test.publish("order", amount=700)
            ...     len(test.events("large"))
            0
        """
        self._check_rule(name)
        self._running_now().change_rules("disabled", name, None, lambda group, _: group.disable(name))

    def enable(self, name: str) -> None:
        """Has a rule that was disabled derive events again, with the state that it would have had.

        Args:
            name: The rule.

        Raises:
            PatternError: There is no such rule (code ``unknown-rule``).
            AppError: The app does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop", {"large": cep.event("large", topic="order")})
            >>> with app.test() as test:
            ...     app.disable("large")
            ...     app.enable("large")
            ...     _ = test.publish("order", amount=700)
            ...     len(test.events("large"))
            1
        """
        self._check_rule(name)
        self._running_now().change_rules("enabled", name, None, lambda group, past: group.enable(name, past))

    def join_rules(self) -> None:
        """Has all rules run in one engine again.

        A rule that is replaced, enabled or added while the app runs gets an engine beside the others, and each engine
        takes every event. To join them, the events of as much time as the state of any rule reaches back are read from
        the store and shown to all rules; what they derive of them is not told, and nothing else changes. Nothing is
        matched meanwhile.

        Time: a replay of the longest horizon; of the whole store, where a rule has none.

        Events that the store keeps no longer are missing from that state afterwards.

        Raises:
            AppError: The app does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> def large(limit):
            ...     return cep.event("a", f"amount > {limit}", topic="order").named("large")
            >>> app = cep.App("shop", [large(500), cep.event("b", topic="order").named("all")])
            >>> with app.test() as test:
            ...     _ = test.publish("order", amount=700)
            ...     app.replace("large", large(300))
            ...     app.join_rules()
            ...     _ = test.publish("order", amount=400)
            ...     len(test.events("large"))
            2
        """
        running = self._running_now()
        running.core.ask(lambda: running.core.change_rules(lambda group, past: group.join(past), []))

    def _check_alone(self, rule: Rule) -> None:
        """What is wrong with a rule is said now; how it goes with others when they are together."""
        check_rule_topics(rule)
        RuleGroup([rule], event_time="time", **self._settings.engine_options())

    def _check_rule(self, name: str) -> None:
        if checked_name(name, "rule") not in self.rules:
            raise unknown_rule(name, self.rules)

    # Dead letters.

    def dead_letters(self, handler: str | None = None) -> list[DeadLetter]:
        """Events that handlers and actions have given up, or that wait behind such, in the order of positions.

        Args:
            handler: Those of one handler or action. None: of all.

        Raises:
            AppError: There is none of this name (code ``unknown-handler``), or the app does not run.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> @app.on("order.paid", retries=0)
            ... def unlucky(event):
            ...     raise OSError("no connection")
            >>> with app.test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     [(letter.handler, letter.reason) for letter in app.dead_letters()]
            [('unlucky', 'OSError: no connection')]
        """
        running = self._running_now()
        names = list(self._specs) if handler is None else [self._follower(running, handler).spec.name]
        found = []
        for name in names:
            queue = running.dispatcher.followers[name].queue
            found += [DeadLetter._read(name, payload) for _, payload in running.store.waiting(queue)]
        return sorted(found, key=lambda letter: (letter.position, letter.handler))

    def retry(self, handler: str, *, key: str | None = None, position: int | None = None) -> int:
        """Has dead letters of a handler or an action tried again, those of one key in their order.

        Those that succeed are dead letters no more, and once none of a key is left, its events are dealt with as they
        come.

        Args:
            handler: The handler or the action.
            key: Those of a key. None: all.
            position: That of an event, and with it those of its key.

        Returns:
            How many are tried again.

        Raises:
            AppError: There is no such handler (code ``unknown-handler``) or dead letter (code ``unknown-dead-letter``),
                or the app does not run.
            StoreError: An event is kept no longer (code ``events-removed``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> works = []
            >>> @app.on("order.paid", retries=0)
            ... def unlucky(event):
            ...     if not works:
            ...         raise OSError("no connection")
            >>> with app.test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     works.append(True)
            ...     (app.retry("unlucky"), app.dead_letters())
            (1, [])
        """
        running = self._running_now()
        follower = self._follower(running, handler)
        revived = int(running.core.ask(lambda: follower.revive(key, position)))
        running.go_on()
        return revived

    def discard(self, handler: str, *, key: str | None = None, position: int | None = None) -> int:
        """Lets go of dead letters of a handler or an action. Their events stay in the store.

        Args:
            handler: The handler or the action.
            key: Those of a key. None: all.
            position: That of an event alone: those behind it stay.

        Returns:
            How many there were.

        Raises:
            AppError: As for `retry`.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> @app.on("order.paid", retries=0)
            ... def unlucky(event):
            ...     raise OSError("no connection")
            >>> with app.test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     (app.discard("unlucky"), app.dead_letters())
            (1, [])
        """
        running = self._running_now()
        follower = self._follower(running, handler)
        discarded = int(running.core.ask(lambda: follower.discard(key, position)))
        running.go_on()
        return discarded

    def _follower(self, running: Running, name: str) -> Follower:
        if checked_name(name, "handler") not in running.dispatcher.followers:
            known = tuple(running.dispatcher.followers)
            raise AppError(
                f"there is no handler or action `{name}` (there are {', '.join(known) or 'none'})",
                code="unknown-handler",
                known=known,
                hint=nearest_name(name, known),
            )
        return running.dispatcher.followers[name]

    # How it does.

    def drain(self, within: Any = "1m") -> bool:
        """Waits until all that has come is dealt with: stored, handled, acted upon, what came of that among it.

        What waits for another attempt is waited for; dead letters are not. Not to be called by a handler, which is
        itself under way.

        Args:
            within: How long at most: text such as ``"10s"``, or a timedelta.

        Returns:
            Whether all is dealt with.

        Raises:
            AppError: The app does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> told = []
            >>> @app.on("order.paid")
            ... def tell(event):
            ...     told.append(event["order"])
            >>> with app:
            ...     ticket = app.send({"type": "order.paid", "order": 7})
            ...     app.drain("10s")
            True
            >>> told
            [7]
        """
        running = self._running_now()
        return running.drain(seconds(within, "within"))

    def stats(self) -> AppStats:
        """What it has done since it was started, and what it is at.

        Raises:
            AppError: It does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop", {"large": cep.event("large", "amount > 500", topic="order")})
            >>> with app.test() as test:
            ...     _ = test.publish("order", amount=700)
            ...     stats = app.stats()
            ...     (stats.events, stats.derived)
            (1, 1)
        """
        running = self._running_now()
        counts = running.pipeline.counts
        return AppStats(
            events=counts["events"],
            derived=counts["derived"],
            rejected=counts["rejected"],
            commits=counts["commits"],
            checkpoints=counts["checkpoints"],
            waiting=running.inbox.rows,
            end=running.store.end,
            batches=running.batching.stats(),
            handlers={name: _told(follower) for name, follower in running.dispatcher.followers.items()},
            rules=running.pipeline.rules.stats(),
            missing_history={name: dict(topics) for name, topics in running.pipeline.rules.missing.items()},
        )


def _told(follower: Follower) -> HandlerStats:
    counts = follower.counts
    return HandlerStats(
        name=follower.spec.name,
        position=follower.position,
        waiting=follower.waiting,
        running=follower.running,
        done=counts["done"] - counts["repeated"],
        failed=counts["failed"],
        retried=counts["retried"],
        timed_out=counts["timed_out"],
        dead=counts["dead"],
        repeated=counts["repeated"],
        breaker_opened=0 if follower.breaker is None else follower.breaker.opened,
    )
