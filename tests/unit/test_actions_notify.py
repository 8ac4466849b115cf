"""Notifications through `apprise`, to a web server and a mail server that are really there."""

from __future__ import annotations

import contextlib
import email
import email.policy
import logging
import socketserver
import threading

import pytest
from acting import HOSTILE, Remembered, answer, context, http_server, order

import cepheid as cep
from cepheid.actions import Action, Notify


@pytest.fixture
def server():
    with http_server() as running:
        yield running


def address(server, path="alerts"):
    return server.url.replace("http://", "json://") + f"/{path}"


def test_a_service_is_told_what_the_templates_say(server):
    action = Notify(address(server), title="{type}", body="order {order}: {total:.2f} {{EUR}}, {subject}.")
    assert isinstance(action, Action)
    action(order(), context())
    [heard] = server.heard
    assert heard.path == "/alerts"
    told = heard.json()
    assert (told["title"], told["message"], told["type"]) == ("order.created", "order 7: 12.50 {EUR}, .", "info")


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_text_and_nothing_else(server, value):
    action = Notify(address(server), title="new: {note}", body="note: {note} end", kind="warning")
    action(order(note=value), context())
    told = server.heard[0].json()
    assert told["message"] == f"note: {value} end"
    assert told["title"].isprintable()
    assert told["title"].startswith("new:")
    assert len(told["title"]) <= 250


def test_a_text_without_end_has_one(server):
    Notify(address(server), body="{note}")(order(note="x" * 1_000_000), context())
    assert len(server.heard[0].json()["message"]) == 32_768


def test_an_empty_text_is_the_title(server):
    Notify(address(server), title="{type}", body="{note}")(order(note=None), context())
    assert server.heard[0].json()["message"] == "order.created"


def test_a_service_that_refuses_is_tried_again_and_one_that_has_taken_it_is_not_told_twice(server, tmp_path):
    with http_server() as other:
        other.answers = [answer(500), answer(200)]
        action = Notify([address(server, "a"), address(other, "b")], body="{order}")
        memory = Remembered(tmp_path)
        with pytest.raises(cep.ActionError) as caught:
            action(order(), context(memory=memory))
        assert (caught.value.code, caught.value.permanent) == ("notify-failed", False)
        assert "1 of 2" in str(caught.value)
        # After a restart, and in another order.
        Notify([address(other, "b"), address(server, "a")], body="{order}")(order(), context(memory=memory, attempt=2))
        assert (len(server.heard), len(other.heard)) == (1, 2)


def test_a_service_that_is_not_there_is_tried_again():
    with pytest.raises(cep.ActionError) as caught:
        Notify("json://user:s3cr3t@127.0.0.1:9/t0k3n", body="{order}")(order(), context())
    assert not caught.value.permanent
    assert "s3cr3t" not in str(caught.value)
    assert "t0k3n" not in str(caught.value)


def test_addresses_are_in_no_repr_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    action = Notify("json://user:s3cr3t@127.0.0.1:9/?+X-Token=t0k3n", body="{order}")
    with pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    for text in (repr(action), action.name, str(caught.value)):
        assert "s3cr3t" not in text
        assert "t0k3n" not in text
    assert repr(action) == "Notify(['json://...'], name='notify:json')"


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server that takes everything: as much of SMTP as it takes to be handed a message."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.messages: list[bytes] = []
        self.senders: list[bytes] = []


class Talk(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.say(b"220 mailbox")
        while line := self.rfile.readline():
            word = line[:4].upper().strip()
            if word in (b"MAIL", b"RCPT"):
                self.server.senders.append(line.strip().upper())
            if word == b"DATA":
                self.say(b"354 go on")
                message = b""
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    message += line.removeprefix(b".") if line.startswith(b"..") else line
                self.server.messages.append(message)
            self.say(b"221 bye" if word == b"QUIT" else b"250 fine")
            if word == b"QUIT":
                return

    def say(self, text: bytes) -> None:
        self.wfile.write(text + b"\r\n")


@contextlib.contextmanager
def mailbox():
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "value", ["Ann", "Ann\r\nBcc: everyone@example.com\r\n\r\n.\r\nRSET", "<b>bold</b> & more", "ünï"]
)
def test_an_email_has_the_headers_that_it_was_given_and_no_others(value):
    with mailbox() as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        url = f"mailto://{host}/?from=app@example.com&to=ops@example.com&mode=insecure&format=text"
        Notify(url, title="hello {name}", body="dear {name}, order {order}")(order(name=value), context())
        [raw] = server.messages
        receivers = [line for line in server.senders if line.startswith(b"RCPT")]
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert receivers == [b"RCPT TO:<OPS@EXAMPLE.COM>"]
    assert message["Bcc"] is None
    assert message["To"].addresses[0].addr_spec == "ops@example.com"
    assert message["Subject"].split() == ["hello", *value.split()]
    text = message.get_body(("plain",)).get_content()
    assert text.split() == ["dear", *f"{value}, order 7".split()]


@pytest.mark.parametrize(
    ("urls", "options", "error"),
    [
        ([], {}, cep.AppError),
        ("", {}, cep.AppError),
        ("nope://host", {}, cep.AppError),
        ("no address", {}, cep.AppError),
        (["json://a", "json://a"], {}, cep.AppError),
        (["json://a", "nope://s3cr3t"], {}, cep.AppError),
        ("json://a, json://b", {}, cep.AppError),
        (7, {}, TypeError),
        ([b"json://a"], {}, TypeError),
        ("json://a", {"body": ""}, cep.AppError),
        ("json://a", {"body": None}, TypeError),
        ("json://a", {"body": "{type.__class__}"}, cep.AppError),
        ("json://a", {"title": "{0.__class__}"}, cep.AppError),
        ("json://a", {"kind": "loud"}, cep.PatternError),
    ],
)
def test_what_cannot_be_a_notification_is_refused_when_it_is_made(urls, options, error):
    with pytest.raises(error) as caught:
        Notify(urls, **{"body": "{order}", **options})
    assert "s3cr3t" not in str(caught.value)


def test_an_event_without_the_column_is_refused_for_good(server):
    with pytest.raises(cep.ActionError) as caught:
        Notify(address(server), body="{ordr}")(order(), context())
    assert (caught.value.code, caught.value.permanent, caught.value.hint) == ("action-column", True, "order")
    with pytest.raises(cep.ActionError) as caught:
        Notify(address(server), body="{type:.2f}")(order(), context())
    assert (caught.value.code, caught.value.permanent) == ("action-template", True)
    assert not server.heard
