"""Sends logins to the app as signed CloudEvents.

As a program it plays a guesser: five failed logins, then one that succeeds. The secret is read from the environment,
as `serve.py` says it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from cepheid.signing import WebhookSecret

SECRET_VARIABLE = "GUARD_SECRET"
EVENT = "application/cloudevents+json"
EVENTS = "application/cloudevents-batch+json"


def login(login_id: str, at: datetime, address: str, user: str, outcome: str, visit: str) -> dict[str, Any]:
    """A login as a CloudEvent. All logins of a visit have the visit as their correlation id."""
    return {
        "specversion": "1.0",
        "id": login_id,
        "type": "login.attempted",
        "source": "/login",
        "time": at.isoformat(),
        "correlationid": visit,
        "datacontenttype": "application/json",
        "data": {"address": address, "user": user, "outcome": outcome},
    }


class Sender:
    """Posts messages to an address, signed as Standard Webhooks has it."""

    def __init__(self, url: str, secret: WebhookSecret) -> None:
        self.url, self._secret = url, secret
        # What is sent to this machine goes through no proxy.
        self._client = httpx.Client(trust_env=False, timeout=30)

    def post(self, message_id: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Posts a message as it is."""
        now = int(time.time())
        signed = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": self._secret.sign(message_id, now, body),
        }
        return self._client.post(self.url, content=body, headers={**signed, **headers})

    def structured(self, message_id: str, event: Mapping[str, Any]) -> httpx.Response:
        """An event as one JSON object."""
        return self.post(message_id, json.dumps(event).encode(), {"content-type": EVENT})

    def batched(self, message_id: str, events: Sequence[Mapping[str, Any]]) -> httpx.Response:
        """Many events in one message."""
        return self.post(message_id, json.dumps(events).encode(), {"content-type": EVENTS})

    def binary(self, message_id: str, event: Mapping[str, Any]) -> httpx.Response:
        """An event whose data is the body, and whose attributes are headers, which are not signed."""
        headers = {f"ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
        headers["content-type"] = event["datacontenttype"]
        return self.post(message_id, json.dumps(event["data"]).encode(), headers)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/events"
    secret = os.environ.get(SECRET_VARIABLE)
    if secret is None:
        sys.exit(f"say the secret of the server: export {SECRET_VARIABLE}=...")
    visit = f"visit-{uuid.uuid4().hex[:8]}"
    sender = Sender(url, WebhookSecret(secret))
    for attempt in range(6):
        outcome = "ok" if attempt == 5 else "failed"
        event = login(f"{visit}-{attempt}", datetime.now(UTC), "198.51.100.7", "ada", outcome, visit)
        answer = sender.structured(event["id"], event)
        print(f"{event['id']}  {outcome:<6}  {answer.status_code} {answer.text}")
    sender.close()


if __name__ == "__main__":
    main()
