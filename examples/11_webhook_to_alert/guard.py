"""The app: logins come in, guessed passwords are found, the account is locked, somebody is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cepheid as cep
from cepheid import event, ref
from cepheid.connectors import Source

# What a login page has to say. What does not is rejected, with the reason.
ATTEMPTED = cep.EventSchema(
    "login.attempted",
    {"address": "string", "user": "string", "outcome": "string"},
    required=["address", "user", "outcome"],
    check="outcome IN ('failed', 'ok')",
    description="Somebody tried to log in.",
    owner="accounts",
    example={"address": "192.0.2.1", "user": "ada", "outcome": "ok"},
)

# Five failures or more, then a success, of one account from one address within five minutes: the guess was right.
GUESSED = (
    (
        event("failure", "outcome = 'failed'", topic="login.attempted").at_least(5, greedy=False)
        >> event("success", "outcome = 'ok'", topic="login.attempted")
    )
    .partition_by("address", "user")
    .within("5m")
    .after_match("past_last_row")
    .select(failures=ref("failure").count())
    .named("login.guessed")
)


def guard(store: Path, source: Source, alert: Any) -> cep.App:
    """The app on a store: with a source of logins, and what tells somebody."""
    app = cep.App("guard", GUESSED, store=store, schemas=[ATTEMPTED])
    # Of this type alone: whoever may send logins may not say that an account is locked.
    app.source(source, topic="login.attempted")

    @app.on("login.guessed")
    def lock(found: dict[str, Any]) -> dict[str, Any]:
        # It is published: stored with how far this handler has got, and followed in its turn.
        return {"type": "account.locked", "user": found["user"], "address": found["address"]}

    app.action("account.locked", alert, name="alert", retries=cep.Retry(5, first="100ms"))
    return app
