"""An app that is killed again and again: a source of numbered events, rules, handlers, an action that writes a file.

Run as a program: `app_program.py STORE LINES EVENTS`. It sends what the source has, from the offset that is saved on,
and ends once all of it is dealt with.
"""

import datetime as dt
import os
import sys
from pathlib import Path

import pyarrow as pa

import cepheid as cep

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
BATCH = 7
KEYS = 5


def payment(number: int) -> dict:
    """The event of a number: every ninth of a key is large, after small ones."""
    turn = number // KEYS
    return {
        "id": f"p-{number}",
        "time": START + dt.timedelta(seconds=number),
        "card": f"card-{number % KEYS}",
        "amount": 900 if turn % 9 == 8 else turn % 7,
        "number": number,
    }


class Numbers:
    """A source of payments; its offset is how many have been sent."""

    name = "numbers"

    def __init__(self, events: int) -> None:
        self.events = events

    def run(self, feed) -> None:
        sent = int(feed.offset or b"0")
        while sent < self.events and not feed.stopping:
            until = min(sent + BATCH, self.events)
            rows = pa.Table.from_pylist([payment(number) for number in range(sent, until)])
            sent = until
            feed.send(rows, topic="payment", offset=str(sent).encode())


def make_app(store: Path | None, lines: Path, events: int) -> cep.App:
    small = cep.event("small", "amount < 5", topic="payment").at_least(2)
    fraud = (
        (small >> cep.event("big", "amount > 500", topic="payment")).partition_by("card").within("1h").named("fraud")
    )
    app = cep.App("bank", fraud, store=store, checkpoint="50ms", quiet=None)
    app.source(Numbers(events))

    @app.on("fraud", key="card", concurrency=3)
    def open_case(event):
        yield {"type": "case.opened", "card": event["card"], "time": event["time"]}

    @app.on("case.opened", key="card")
    async def follow_up(event):
        return "case.letter", {"card": event["card"], "time": event["time"]}

    @app.on("payment", batch=True)
    def count(table):
        return {"type": "counted", "rows": table.num_rows}

    @app.action("fraud", key="card", concurrency=3, retries=cep.Retry(50, first="1ms", greatest="5ms"))
    def tell(event, context):
        # Every third fails once.
        if context.attempt == 1 and context.position % 3 == 0:
            raise OSError("not now")
        line = f"{event['card']} {context.key} {context.position}\n".encode()
        file = os.open(lines, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line)
        os.fsync(file)
        os.close(file)

    return app


if __name__ == "__main__":
    sys.stdout.write("starting\n")
    sys.stdout.flush()
    make_app(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).run()
    sys.stdout.write("ended\n")
    sys.stdout.flush()
