"""The app on a port of this machine, until Ctrl-C; its store is `guard.db` in the folder that it is started from.

The secret that messages are signed with is read from the environment, or made and printed.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard import guard
from sending import SECRET_VARIABLE

from cepheid.connectors import HttpSource

PORT = 8080
HELP = """Listening on http://127.0.0.1:{port}/events. In another terminal say the secret,

  export {variable}={secret}

and play the guesser,

  python {sender} http://127.0.0.1:{port}/events

or post an event that curl signs:

  BODY='{{"specversion":"1.0","id":"c1","source":"/curl","type":"login.attempted",
    "data":{{"address":"192.0.2.1","user":"ada","outcome":"failed"}}}}'
  NOW=$(date +%s) ID=curl-$NOW-$RANDOM
  SIGNED=$(printf '%s.%s.%s' "$ID" "$NOW" "$BODY" | openssl dgst -sha256 -hmac "${variable}" -binary | base64)
  curl http://127.0.0.1:{port}/events --data-binary "$BODY" -H 'content-type: application/cloudevents+json' \\
    -H "webhook-id: $ID" -H "webhook-timestamp: $NOW" -H "webhook-signature: v1,$SIGNED"

Ctrl-C ends it. Started again in this folder, it goes on where it was.
"""


def alert(locked: Mapping[str, Any]) -> None:
    print(f"ALERT  {locked['user']} is locked, guessed from {locked['address']}: {locked['correlationid']}", flush=True)


def main() -> None:
    port = int(os.environ.get("GUARD_PORT", PORT))
    known = os.environ.get(SECRET_VARIABLE)
    secret = known or secrets.token_urlsafe(32)
    app = guard(Path("guard.db"), HttpSource(port=port, secret=secret), alert)

    @app.on("login.attempted")
    def show(login: dict[str, Any]) -> None:
        print(f"login  {login['id']}: {login['user']} from {login['address']}, {login['outcome']}", flush=True)

    # One that is known already is not shown to whoever looks at the screen.
    shown = "..." if known else f"'{secret}'"
    sender = Path(sys.argv[0]).with_name("sending.py")
    print(HELP.format(port=port, variable=SECRET_VARIABLE, secret=shown, sender=sender), flush=True)
    app.run()


if __name__ == "__main__":
    main()
