"""Process maps: what directly follows what, counted by plain loops too."""

import itertools
import random
import statistics
import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest

import cepheid as cep

STEPS = {
    "order": ["x", "x", "x", "y", "y", None, "y"],
    "ts": [0, 10, 30, 5, 6, 7, 9],
    "step": ["placed", "paid", "sent", "placed", "placed", "paid", None],
}


def mapped(data=STEPS, **options):
    return cep.process_map(data, **{"case": "order", "activity": "step", **options})


def test_a_small_map_is_what_one_sees():
    found = mapped()
    assert found.cases == 2
    assert found.nodes.to_pylist() == [
        {"activity": "placed", "count": 3, "starts": 2, "ends": 1},
        {"activity": "paid", "count": 1, "starts": 0, "ends": 0},
        {"activity": "sent", "count": 1, "starts": 0, "ends": 1},
    ]
    assert found.edges.schema == pa.schema(
        {"source": pa.string(), "target": pa.string(), "count": pa.int64(), "median": pa.duration("ns")}
    )
    edges = found.edges.set_column(3, "median", found.edges["median"].cast(pa.int64())).to_pylist()
    assert [tuple(edge.values()) for edge in edges] == [
        ("paid", "sent", 1, 20),
        ("placed", "paid", 1, 10),
        ("placed", "placed", 1, 1),
    ]
    assert pa.table(found).equals(found.to_arrow())


def test_maps_of_random_histories_are_those_of_plain_loops():
    compared = 0
    for seed in range(200):
        chance = random.Random(seed)
        rows = chance.randrange(60)
        data = pa.table(
            {
                "order": pa.array([chance.choice(["p", "q", None, "r"]) for _ in range(rows)], pa.string()),
                "ts": pa.array([chance.randrange(20) for _ in range(rows)], pa.int64()),
                "step": pa.array([chance.choice([1, 2, 3, None]) for _ in range(rows)], pa.int64()),
            }
        )
        cases, counts, edges = {}, {}, {}
        for row in sorted(data.to_pylist(), key=lambda row: row["ts"]):
            if row["order"] is not None and row["step"] is not None:
                cases.setdefault(row["order"], []).append(row)
                counts[row["step"]] = counts.get(row["step"], 0) + 1
        for own in cases.values():
            for before, after in itertools.pairwise(own):
                edges.setdefault((before["step"], after["step"]), []).append(after["ts"] - before["ts"])
        found = mapped(data)
        assert found.cases == len(cases)
        nodes = {row["activity"]: row for row in found.nodes.to_pylist()}
        assert {activity: row["count"] for activity, row in nodes.items()} == counts
        for activity, row in nodes.items():
            assert row["starts"] == sum(own[0]["step"] == activity for own in cases.values())
            assert row["ends"] == sum(own[-1]["step"] == activity for own in cases.values())
        medians = found.edges["median"].cast(pa.int64()).to_pylist()
        told = {
            (row["source"], row["target"]): (row["count"], median)
            for row, median in zip(found.edges.to_pylist(), medians, strict=True)
        }
        assert told == {edge: (len(times), statistics.median_low(times)) for edge, times in edges.items()}
        assert found.edges["count"].to_pylist() == sorted(found.edges["count"].to_pylist(), reverse=True)
        compared += len(told)
    assert compared >= 1_000


def test_maps_are_pictures():
    found = mapped()
    picture = ET.fromstring(found.to_svg())
    text = "".join(picture.itertext())
    assert "3 activities and 3 edges of 2 cases" in text
    assert "placed then paid" in text
    # A loop of a state is an arrow too.
    assert "placed then placed" in text
    assert found._repr_svg_() == found.to_svg() == mapped().to_svg()
    arrows = [line.split(" [")[0].strip() for line in found.to_graphviz().splitlines() if "->" in line]
    assert sorted(arrows) == ["n0 -> n0", "n0 -> n1", "n1 -> n2"]


def test_activities_may_be_nan():
    found = mapped({"order": [1, 1, 1], "ts": [1, 2, 3], "step": pa.array([float("nan"), 1.0, float("nan")])})
    assert [row["count"] for row in found.nodes.to_pylist()] == [2, 1]
    assert "nan then 1.0" in "".join(ET.fromstring(found.to_svg()).itertext())


def test_rare_edges_can_be_left_out_and_rows_too():
    twice = mapped({"order": [1, 1, 1, 1], "ts": range(4), "step": ["a", "b", "a", "b"]})
    assert twice.edges["count"].to_pylist() == [2, 1]
    assert twice.at_least(2).edges["count"].to_pylist() == [2]
    assert twice.at_least(2).nodes.equals(twice.nodes)
    assert mapped(where="step <> 'paid'").edges["target"].to_pylist() == ["placed", "sent"]
    with pytest.raises(cep.PatternError):
        twice.at_least(0)


def test_maps_are_shown_in_words():
    assert repr(mapped()).splitlines()[:2] == [
        "ProcessMap: 3 activities and 3 edges of 2 cases",
        "paid -> sent      1  0:00:00",
    ]
    many = mapped({"order": [1] * 30, "ts": range(30), "step": range(30)})
    assert repr(many).splitlines()[-1] == "... 9 more"
    empty = pa.table({name: pa.array([], pa.int64()) for name in ("order", "ts", "step")})
    assert repr(mapped(empty)) == "ProcessMap: 0 activities and 0 edges of 0 cases"
    assert mapped(empty).to_svg().startswith("<svg")
    with pytest.raises(TypeError, match="process_map"):
        cep.ProcessMap()
    with pytest.raises(AttributeError):
        mapped().cases = 3
