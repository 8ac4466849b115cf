"""Two attacks on a login page, found while the log streams in: guessing one account's password, and spraying one
password over many accounts.

The log is generated, always the same: ordinary logins of forty people over two hours, and three attacks planted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cepheid as cep
from cepheid import col, event, ref

START = datetime(2024, 3, 1, 9, tzinfo=UTC)
FAILED, OK = col.outcome == "failed", col.outcome == "ok"

# Five failures of one account or more, then a success, from one address within five minutes: the guess was right.
GUESSED = (
    (event("failure", FAILED).at_least(5, greedy=False) >> event("success", OK))
    .partition_by("address", "user")
    .within("5m")
    .after_match("past_last_row")
    .select(failures=ref("failure").count(), entered=ref("success").ts)
    .named("login.guessed")
)

# Ten failures from one address within a minute, of ten accounts: nobody forgets the passwords of ten.
SPRAYED = (
    event("failure", FAILED)
    .times(10)
    .partition_by("address")
    .within("1m")
    .having(ref("failure").user.n_unique() == 10)
    .select(accounts=ref("failure").user.n_unique(), first=ref("failure").user.first(), last=ref("failure").user)
    .named("login.sprayed")
)


def log() -> list[dict[str, Any]]:
    """The log in order of time."""
    chance = random.Random(20240301)
    people = [f"user{number:02d}" for number in range(40)]
    rows = []
    for number, user in enumerate(people):
        for _ in range(chance.randint(2, 6)):
            at = START + timedelta(seconds=chance.randint(0, 7200))
            for attempt in range(chance.choice([1, 1, 1, 2, 3])):
                outcome = "ok" if attempt == 0 else "failed"
                rows.append((at - timedelta(seconds=8 * attempt), f"192.0.2.{number}", user, outcome))
    guesses = [(41, 100), (77, 7)]
    for minute, host in guesses:
        for attempt in range(7):
            at = START + timedelta(minutes=minute, seconds=20 * attempt)
            rows.append((at, f"198.51.100.{host}", f"user{host % 40:02d}", "ok" if attempt == 6 else "failed"))
    for number, user in enumerate(people[:24]):
        rows.append((START + timedelta(minutes=95, seconds=2 * number), "203.0.113.9", user, "failed"))
    names = ("ts", "address", "user", "outcome")
    return [dict(zip(names, row, strict=True)) for row in sorted(rows)]


def in_batches(rows: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """The log as it comes in, some lines at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def main() -> None:
    rows = log()
    engine = cep.Engine([GUESSED, SPRAYED])
    print(f"{len(rows)} logins, {sum(row['outcome'] == 'failed' for row in rows)} of them failed.\n")
    for lines in in_batches(rows, 25):
        for topic, found in engine.push(lines).items():
            for alert in found:
                print(f"{alert['match_end']:%H:%M:%S}  {topic:<14}", told(topic, alert))
    # The same over the whole log in one call: one matcher, one meaning.
    for rule in (GUESSED, SPRAYED):
        [of_rule] = [stats for stats in engine.stats().rules if stats.name == rule.name]
        assert len(cep.match(rule, rows, event_time="ts")) == of_rule.matches > 0


def told(topic: str, alert: dict[str, Any]) -> str:
    if topic == "login.guessed":
        return f"{alert['address']} entered as {alert['user']} after {alert['failures']} failures"
    return f"{alert['address']} failed for {alert['accounts']} accounts, from {alert['first']} to {alert['last']}"


if __name__ == "__main__":
    main()
