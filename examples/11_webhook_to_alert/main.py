"""From a signed webhook to an alert that goes out once, with a restart in between, and the story of it in the store.

A login page posts logins to an app; a receiver of alerts stands on the other side. Both speak real HTTP, in this
process. The logins are generated, always the same: ten people, and a guesser.
"""

from __future__ import annotations

import json
import random
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from guard import guard
from sending import Sender, login

import cepheid as cep
from cepheid.actions import Webhook
from cepheid.connectors import HttpSource
from cepheid.signing import WebhookSecret

START = datetime(2025, 3, 3, 9, tzinfo=UTC)
VISIT = "visit-guesser"


class Receiver:
    """Whoever is told of locked accounts: checks signatures, refuses the first attempt, drops what it knows."""

    def __init__(self, secret: WebhookSecret) -> None:
        self.requests = 0
        self.alerts: dict[str, dict[str, Any]] = {}
        self.told = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                message, sent = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
                receiver.requests += 1
                if not secret.verifies(message, sent, body, self.headers["webhook-signature"]):
                    status = 401
                elif receiver.requests == 1:
                    status = 503
                else:
                    status = 204
                    receiver.alerts.setdefault(message, json.loads(body))
                self.send_response(status)
                self.end_headers()
                if status == 204:
                    receiver.told.set()

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def logins() -> list[dict[str, Any]]:
    """Logins of ten people in ten minutes, of whom some mistype a few times."""
    chance = random.Random(20250303)
    found = []
    for number in range(10):
        for attempt in range(chance.choice([1, 1, 2, 3])):
            at = START + timedelta(seconds=60 * number + 8 * attempt)
            # The last attempt of each succeeds.
            found.append((at, f"192.0.2.{number}", f"user{number}", f"visit-{number}"))
    last = {visit: at for at, _, _, visit in found}
    return [
        login(f"login-{place}", at, address, user, "ok" if last[visit] == at else "failed", visit)
        for place, (at, address, user, visit) in enumerate(found)
    ]


def guesses() -> list[dict[str, Any]]:
    """Six failures and a success, of one account from one address."""
    begin = START + timedelta(minutes=11)
    return [
        login(f"guess-{place}", begin + timedelta(seconds=10 * place), "198.51.100.7", "user3",
              "ok" if place == 6 else "failed", VISIT)
        for place in range(7)
    ]  # fmt: skip


@contextmanager
def running(store: Path, secret: WebhookSecret, alert: Webhook) -> Iterator[tuple[cep.App, Sender]]:
    """The app, and a login page that posts to it."""
    source = HttpSource(port=0, secret=secret)
    with guard(store, source, alert) as app:
        sender = Sender(f"http://127.0.0.1:{source.listening(timeout=30)}/events", secret)
        try:
            yield app, sender
        finally:
            sender.close()


def main() -> None:
    # The login page and the app share one secret, the app and the receiver another.
    incoming, outgoing = WebhookSecret(secrets.token_bytes(32)), WebhookSecret(secrets.token_bytes(32))
    receiver = Receiver(outgoing)
    guess = guesses()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "guard.db"

        def alert() -> Webhook:
            return Webhook(receiver.url, secret=outgoing)

        with running(store, incoming, alert()) as (app, sender):
            people = logins()
            print(f"batched      {told(sender.batched('message-1', people))}")
            print(f"structured   {told(sender.structured('message-2', guess[0]))}")
            print(f"binary       {told(sender.binary('message-3', guess[1]))}")
            print(f"once more    {told(sender.binary('message-3', guess[1]))}")
            stranger = Sender(sender.url, WebhookSecret(secrets.token_bytes(32)))
            print(f"wrong secret {told(stranger.structured('message-4', guess[2]))}")
            stranger.close()
            odd = login("odd-1", START, "192.0.2.1", "user1", "maybe", "visit-odd")
            print(f"no login     {told(sender.structured('message-5', odd))}")
            print(f"batched      {told(sender.batched('message-6', guess[2:5]))}")
            assert "login.guessed" not in app.store.info().topics

        print("\nrestart: five failures are known\n")

        with running(store, incoming, alert()) as (app, sender):
            print(f"once more    {told(sender.batched('message-6', guess[2:5]))}")
            print(f"batched      {told(sender.batched('message-7', guess[5:]))}")
            assert receiver.told.wait(30), "nobody was told"

        # Once more: there is nothing left to do.
        with running(store, incoming, alert()) as (app, sender):
            print(f"once more    {told(sender.batched('message-7', guess[5:]))}")
            assert app.stats().handlers["alert"].waiting == 0
        [alerted] = receiver.alerts.values()
        print(f"\n{len(receiver.alerts)} alert in {receiver.requests} requests: {alerted['type']} {alerted['data']}\n")
        with cep.EventStore(store, read_only=True) as kept:
            story(kept)
    receiver.close()


def told(answer: Any) -> str:
    return f"{answer.status_code} {answer.text}"


def story(store: cep.EventStore) -> None:
    """What came of the visit, from the store alone."""
    names: dict[str, str] = {}
    for event in store.trace(VISIT):
        # Ids of what the app makes are long: here they are called by their place.
        name = names.setdefault(event["id"], event["id"] if event["id"].startswith("guess-") else f"#{len(names)}")
        cause = names.get(event["causationid"], "-")
        if event["type"] == "cepheid.action":
            what = f"{event['action']}: {event['outcome']} after {event['attempts']} attempts"
        else:
            what = event["outcome"] or (f"{event['failures']:.0f} failures" if event["failures"] else event["user"])
        print(f"{name:<8}  of {cause:<8}  {event['type']:<16}  {what}")
    [rejected] = store.read("cepheid.rejected")
    print(f"\nrejected: {rejected['code']}: {rejected['reason']}")
    assert store.verify()


if __name__ == "__main__":
    main()
