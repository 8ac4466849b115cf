"""The package `bobocep`: runs in Python, an event at a time. Events are built beforehand."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pyarrow as pa
from bobocep.cep.engine.decider.decider import BoboDecider
from bobocep.cep.engine.decider.pubsub import BoboDeciderSubscriber
from bobocep.cep.event import BoboEventSimple
from bobocep.cep.gen.event_id import BoboGenEventIDUnique
from bobocep.cep.phenom.pattern.builder import BoboPatternBuilder
from bobocep.cep.phenom.phenom import BoboPhenomenon

from benches.peers.peer import Peer
from benches.workload import Answer, Workload

Row = tuple[int, str]


class Completed(BoboDeciderSubscriber):  # type: ignore[misc]
    """Keeps the rows of what is completed."""

    def __init__(self) -> None:
        self.matches: list[tuple[int, ...]] = []

    def on_decider_update(self, completed: Any, halted: Any, updated: Any, local: bool) -> None:
        for run in completed:
            events = run.history.events
            self.matches.append(tuple(events[step][0].data[0] for step in ("a", "b", "c")))


class BoboCep(Peer):
    """Its decider alone: what receives, produces and forwards around it would only cost time."""

    name = "bobocep"
    version = version("bobocep")
    by_hand = False

    def cannot_run(self, workload: Workload) -> str | None:
        if workload.shape != "seq3_next":
            return "each run takes the next event that fits: no combinations, no keys, no loop of at least three"
        return None

    def prepare(self, workload: Workload, table: pa.Table) -> Any:
        window = workload.parameter("window")

        def is_symbol(name: str) -> Any:
            return lambda event, history: event.data[1] == name

        pattern = (
            BoboPatternBuilder("sequence")
            .followed_by(is_symbol("SYM000"), group="a")
            .followed_by(is_symbol("SYM001"), group="b")
            .followed_by(is_symbol("SYM002"), group="c")
            .precondition(lambda event, history: event.data[0] - history.events["a"][0].data[0] <= window)
            .generate()
        )
        phenomenon = BoboPhenomenon("sequence", patterns=[pattern])
        rows = zip(table["n"].to_pylist(), table["symbol"].to_pylist(), strict=True)
        return phenomenon, [BoboEventSimple(str(row[0]), row[0], row) for row in rows]

    def arm(self, workload: Workload, prepared: Any) -> Any:
        phenomenon, events = prepared
        decider = BoboDecider([phenomenon], BoboGenEventIDUnique(), BoboGenEventIDUnique())
        completed = Completed()
        decider.subscribe(completed)
        return decider, completed, events

    def run(self, workload: Workload, armed: Any) -> list[tuple[int, ...]]:
        decider, completed, events = armed
        for event in events:
            decider.on_receiver_update(event)
            decider.update()
        return list(completed.matches)

    def answer(self, workload: Workload, result: list[tuple[int, ...]]) -> Answer:
        return Answer(len(result), tuple(sum(match[step] for match in result) for step in range(3)))
