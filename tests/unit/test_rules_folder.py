"""Rules that are files: what comes, changes, and goes."""

from __future__ import annotations

import os

import pytest

import cepheid as cep
from cepheid import col, event
from cepheid.runtime import rules_folder
from cepheid.runtime.rules_folder import RulesFolder

SQL = """
SELECT * FROM "order.paid" MATCH_RECOGNIZE (
  PARTITION BY shop ORDER BY time
  MEASURES A.total AS total
  ONE ROW PER MATCH AFTER MATCH SKIP TO NEXT ROW
  PATTERN (A B) DEFINE A AS total > {more}
)
"""
WINDOW = """
SELECT shop, window_end, SUM(total) AS total
FROM TABLE(TUMBLE(TABLE Paid, DESCRIPTOR(time), INTERVAL '1' MINUTE)) GROUP BY shop, window_start, window_end
"""


class Clock:
    """The time on the wall, which passes when it is told to."""

    def __init__(self):
        self.now = 2e9

    def __call__(self):
        return self.now


def large(more=500):
    return event("a", col.total > more, topic="txn")


class Watched:
    """A folder, and what looks at it."""

    def __init__(self, path):
        self.path, self.clock = path, Clock()
        self.folder = RulesFolder(path, poll="1s", clock=self.clock)

    def write(self, name, text, settled=True):
        path = self.path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        time = self.clock.now - (10 if settled else 0)
        # Each writing is at a time of its own.
        self.clock.now += 0.001
        os.utime(path, (time, time))
        return path

    def scan(self):
        return [(change.kind, change.name) for change in self.folder.scan()]


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_rules_come_change_and_go(watched):
    watched.write("large.json", large().to_json())
    (added,) = watched.folder.scan()
    assert (added.kind, added.name, added.rule, added.error) == ("added", "large", large().named("large"), None)
    assert cep.Pattern.from_json(added.text) == large()
    assert watched.scan() == []
    watched.write("large.json", large(900).to_json())
    (replaced,) = watched.folder.scan()
    assert (replaced.kind, replaced.rule) == ("replaced", large(900).named("large"))
    (watched.path / "large.json").unlink()
    assert watched.scan() == []
    assert watched.scan() == [("removed", "large")]
    assert (watched.scan(), watched.folder.rules) == ([], {})


def test_every_kind_of_rule_can_be_written_down(watched):
    window = cep.window(n=cep.count(), topic="txn").tumbling("1m")
    anomaly = cep.anomaly(col.total, topic="txn").ewma(alpha=0.1, threshold=3, warm_up=9)
    for name, rule in (("window", window), ("anomaly", anomaly.named("anomaly")), ("large", large())):
        watched.write(f"{name}.json", rule.to_json())
    watched.write("pairs.sql", SQL.format(more=5))
    watched.write("minutes.sql", WINDOW)
    assert watched.scan() == [("added", name) for name in ("anomaly", "large", "minutes", "pairs", "window")]
    rules = watched.folder.rules
    assert rules["window"] == window.named("window")
    assert rules["pairs"]._read_topics() == ("order.paid",)
    assert rules["minutes"]._read_topics() == ("Paid",)
    engine = cep.Engine(rules, "time", ids=True)
    rows = {"time": [1, 2, 3], "shop": [7, 7, 7], "total": [9, 8, 1]}
    derived = [engine.push(rows, "order.paid"), engine.push(rows, "Paid"), engine.push(rows, "txn"), engine.flush()]
    found = {topic: len(matches) for part in derived for topic, matches in part.items()}
    assert found == {"pairs": 2, "minutes": 1, "window": 1}


def test_a_file_that_is_half_written_is_waited_for(watched):
    text = large().to_json()
    watched.write("large.json", text[:20], settled=False)
    assert watched.scan() == []
    watched.write("large.json", text, settled=False)
    assert watched.scan() == []
    # As it was at the look before.
    assert watched.scan() == [("added", "large")]
    watched.write("large.json", large(900).to_json(), settled=False)
    watched.clock.now += 5
    # Or long ago.
    assert watched.scan() == [("replaced", "large")]


def test_a_file_that_is_gone_for_a_moment_is_not_gone(watched):
    path = watched.write("large.json", large().to_json())
    watched.scan()
    path.unlink()
    assert watched.scan() == []
    watched.write("large.json", large().to_json())
    assert watched.scan() == []
    assert list(watched.folder.rules) == ["large"]


def test_a_bad_file_is_told_of_once_and_the_old_version_stays(watched):
    watched.write("large.json", large().to_json())
    watched.scan()
    watched.write("large.json", "{")
    (refused,) = watched.folder.scan()
    assert (refused.kind, refused.name, refused.rule) == ("refused", "large", None)
    assert isinstance(refused.error, cep.AppError)
    assert refused.text == "{"
    assert watched.scan() == []
    assert watched.folder.rules == {"large": large().named("large")}
    watched.write("large.json", large(900).to_json())
    assert watched.scan() == [("replaced", "large")]
    watched.write("large.json", "{")
    watched.scan()
    # Back to what was known: nothing has changed.
    watched.write("large.json", large(900).to_json())
    assert watched.scan() == []


NESTED = '{"cepheid_ir":1,"pattern":' + "[" * 100_000
BAD = {
    "no JSON": ("x.json", "event('a')", "rule-file"),
    "deep JSON": ("x.json", NESTED, "rule-file"),
    "a list": ("x.json", "[1]", "rule-file"),
    "null": ("x.json", "null", "rule-file"),
    "an empty file": ("x.json", "", "rule-file"),
    "two kinds": ("x.json", '{"cepheid_ir":1,"pattern":{},"window":{}}', "rule-file"),
    "a broken pattern": ("x.json", '{"cepheid_ir":1,"pattern":{}}', "malformed"),
    "a newer version": ("x.json", '{"cepheid_ir":99,"pattern":{}}', "wire-version"),
    "another name": ("x.json", large().named("y").to_json(), "rule-file"),
    "no topic": ("x.json", event("a").to_json(), "rule-file"),
    "no text": ("x.json", b"\xff\xfe\x00", "rule-file"),
    "a lone surrogate": ("x.json", '{"cepheid_ir":1,"pattern":{"name":"\\ud800"}}', None),
    "no SQL": ("x.sql", "DROP TABLE orders", None),
    "no rule in SQL": ("x.sql", "SELECT 1", None),
    "a huge file": ("x.sql", "-" * ((1 << 20) + 1), "rule-file"),
    "two statements": ("x.sql", SQL.format(more=5) + "; SELECT 1", None),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_rule_is_refused_with_the_reason(watched, case):
    name, text, code = BAD[case]
    watched.write(name, text)
    (refused,) = watched.folder.scan()
    assert (refused.kind, refused.name) == ("refused", "x")
    assert isinstance(refused.error, cep.CepheidError)
    assert code is None or refused.error.code == code
    assert watched.folder.rules == {}


def test_a_file_that_is_renamed_is_disabled_and_enabled(watched):
    path = watched.write("large.json", large().to_json())
    watched.scan()
    off = path.rename(watched.path / "large.json.disabled")
    assert watched.scan() == [("disabled", "large")]
    assert watched.folder.disabled == {"large"}
    assert watched.scan() == []
    watched.write("large.json.disabled", large(900).to_json())
    assert watched.scan() == [("replaced", "large")]
    off.rename(path)
    assert watched.scan() == [("enabled", "large")]
    watched.write("new.sql.disabled", SQL.format(more=5))
    assert watched.scan() == [("added", "new"), ("disabled", "new")]


def test_two_files_of_one_rule_are_refused(watched):
    watched.write("large.json", large().to_json())
    watched.scan()
    other = watched.write("large.sql", SQL.format(more=5))
    (refused,) = watched.folder.scan()
    assert refused.kind == "refused"
    assert "large.json, large.sql" in str(refused.error)
    assert watched.folder.rules == {"large": large().named("large")}
    other.unlink()
    assert watched.scan() == []


def test_links_pipes_and_folders_are_no_rules(watched, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.json"
    outside.write_text(large().to_json())
    os.symlink(outside, watched.path / "link.json")
    os.symlink(watched.path / "nowhere", watched.path / "dangling.json")
    os.mkfifo(watched.path / "pipe.json")
    (watched.path / "folder.json").mkdir()
    watched.clock.now += 1e9
    changes = {change.name: change for change in watched.folder.scan()}
    assert set(changes) == {"link", "dangling", "pipe"}
    assert all(change.kind == "refused" and change.error.code == "rule-file" for change in changes.values())
    assert "secret" not in str(changes["link"].error)
    assert watched.folder.rules == {}


def test_what_is_called_otherwise_is_passed_over(watched):
    for name in (".large.json", "large.json~", "large.py", "large.json.tmp", "README", ".json", "large.disabled"):
        watched.write(name, large().to_json())
    assert watched.scan() == []


def test_a_name_that_is_no_text_is_refused(watched):
    try:
        watched.write(os.fsdecode(b"\xff.json"), large().to_json())
    except OSError:
        pytest.skip("this file system has no such names")
    (refused,) = watched.folder.scan()
    assert refused.kind == "refused"
    assert refused.error.code == "rule-file"


def test_a_folder_has_to_be_there_and_to_be_small(watched, tmp_path, monkeypatch):
    with pytest.raises(cep.AppError) as caught:
        RulesFolder(tmp_path / "nowhere")
    assert caught.value.code == "rules-folder"
    with pytest.raises(TypeError):
        RulesFolder(tmp_path, poll=1)
    watched.write("large.json", large().to_json())
    watched.scan()
    monkeypatch.setattr(rules_folder, "_FILES_MAX", 2)
    for name in "abc":
        watched.write(f"{name}.json", large().to_json())
    with pytest.raises(cep.AppError) as caught:
        watched.folder.scan()
    assert caught.value.code == "rules-folder"
    assert list(watched.folder.rules) == ["large"]


def test_a_folder_that_is_gone_keeps_its_rules(watched):
    path = watched.write("large.json", large().to_json())
    watched.scan()
    path.unlink()
    watched.path.rmdir()
    for _ in range(3):
        with pytest.raises(cep.AppError):
            watched.folder.scan()
    assert list(watched.folder.rules) == ["large"]


def test_what_is_in_the_folder_is_what_a_group_runs(watched):
    from cepheid.runtime.rule_group import RuleGroup

    watched.write("large.json", large().to_json())
    watched.write("small.json.disabled", event("a", "total < 5", topic="txn").to_json())
    watched.scan()
    group = RuleGroup([])
    group.change(watched.folder.rules, disabled=watched.folder.disabled)
    assert (list(group.rules), group.disabled, group.reads()) == (["large", "small"], {"small"}, ("txn",))
