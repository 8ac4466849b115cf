"""The rules of an engine as a graph: topics, the rules that read them, and the topics that these derive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cepheid.drawing.graph import Edge, Graph, Node
from cepheid.drawing.lettering import plain


class DrawnRule(NamedTuple):
    """What is drawn of a rule.

    Attributes:
        name: Its name.
        kind: What it is: ``pattern``, ``window``.
        reads: The topics that it reads; None: every source.
        derives: The topics that it derives.
    """

    name: str
    kind: str
    reads: tuple[str | None, ...]
    derives: tuple[str, ...]


def rule_graph(rules: Sequence[DrawnRule], seen: Iterable[str]) -> Graph:
    """The graph.

    Args:
        rules: The rules, in order.
        seen: The topics that rows have been pushed of; the empty name is that of rows without topic. Who reads every
            source reads them.
    """
    derived = dict.fromkeys(topic for rule in rules for topic in rule.derives)
    named = dict.fromkeys(topic for rule in rules for topic in rule.reads if topic is not None)
    open_readers = any(None in rule.reads for rule in rules)
    # Rows of a topic that is derived and read are not pushed; of one that is only derived they may be.
    pushed = [topic for topic in sorted(seen) if open_readers and not (topic in derived and topic in named)]
    nodes: list[Node] = []
    edges: list[Edge] = []
    sources: dict[str | None, int] = {}
    for topic in dict.fromkeys([*(topic for topic in named if topic not in derived), *pushed]):
        sources[topic] = len(nodes)
        nodes.append(_source(topic))
    if open_readers:
        every = len(nodes)
        nodes.append(Node(("every source",), "rows of every source, read by the rules that name no topic", "source"))
        edges += [Edge(place, every, (), "one of the sources") for place in sources.values()]
        sources[None] = every
    places = len(nodes)
    nodes += [_rule(rule) for rule in rules]
    topics = {topic: len(nodes) + place for place, topic in enumerate(derived)}
    nodes += [_derived(topic, [rule.name for rule in rules if topic in rule.derives]) for topic in derived]
    for place, rule in enumerate(rules, places):
        for read in rule.reads:
            source = topics[read] if read is not None and read in topics else sources[read]
            of = "every source" if read is None else f"topic {read}"
            edges.append(Edge(source, place, (), f"rule {rule.name} reads {of}"))
        for topic in rule.derives:
            edges.append(Edge(place, topics[topic], (), f"rule {rule.name} derives topic {topic}"))
    rule_count, topic_count = len(rules), len(derived)
    heading = (
        f"{rule_count} rule{'' if rule_count == 1 else 's'}, "
        f"{topic_count} derived topic{'' if topic_count == 1 else 's'}"
    )
    return Graph(heading, tuple(nodes), tuple(edges))


def _source(topic: str) -> Node:
    if not topic:
        return Node(("rows without topic",), "source: rows that were pushed without a topic", "source")
    return Node((plain(topic),), f"source: topic {topic}", "source")


def _rule(rule: DrawnRule) -> Node:
    reads = ", ".join("every source" if topic is None else topic for topic in rule.reads)
    title = f"{rule.kind} {rule.name}\nreads {reads}\nderives {', '.join(rule.derives)}"
    return Node((plain(rule.name), rule.kind), title, "rule")


def _derived(topic: str, by: Sequence[str]) -> Node:
    return Node((plain(topic),), f"derived topic {topic}\nby {', '.join(by)}", "topic")
