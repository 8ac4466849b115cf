"""Webhooks against a server that is really there, and does what servers do."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
import time

import httpx
import pytest
from acting import HOSTILE, NOW, answer, context, http_server, order

import cepheid as cep
from cepheid.actions import Action, Webhook
from cepheid.signing import WebhookSecret

SECRET = "correct horse battery staple"


@pytest.fixture
def server():
    with http_server() as running:
        yield running


@contextlib.contextmanager
def webhook(url, **options):
    action = Webhook(url, **options)
    try:
        yield action
    finally:
        action.close()


def test_an_event_is_sent_as_a_cloudevent_that_its_receiver_can_verify(server):
    with webhook(f"{server.url}/hook?token=t0p", secret=SECRET, headers={"Authorization": "Bearer x"}) as action:
        assert isinstance(action, Action)
        assert action(order(), context()) is None
    [heard] = server.heard
    assert heard.method == "POST"
    assert heard.path == "/hook?token=t0p"
    assert heard.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert heard.headers["authorization"] == "Bearer x"
    assert heard.headers["webhook-id"] == heard.headers["idempotency-key"] == "key-1"
    assert heard.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    signed = ("key-1", int(NOW.timestamp()), heard.body, heard.headers["webhook-signature"])
    assert WebhookSecret(SECRET).verifies(*signed)
    assert not WebhookSecret(SECRET + "!").verifies(*signed)
    assert heard.json() == {
        "specversion": "1.0",
        "id": "e1",
        "type": "order.created",
        "source": "shop",
        "time": "2026-01-02T03:04:05Z",
        "correlationid": "c1",
        "schemaversion": 2,
        "partitionkey": "ann",
        "datacontenttype": "application/json",
        "data": {"order": 7, "total": 12.5},
    }


def test_two_secrets_make_two_signatures_and_none_makes_none(server):
    new = "staple battery horse correct"
    with webhook(server.url, secret=[SECRET, new]) as action:
        action(order(), context())
    with webhook(server.url) as action:
        action(order(), context())
    both, without = server.heard
    for secret in (SECRET, new):
        assert WebhookSecret(secret).verifies(
            "key-1", int(NOW.timestamp()), both.body, both.headers["webhook-signature"]
        )
    assert "webhook-signature" not in without.headers
    assert without.headers["webhook-id"] == "key-1"


def test_what_is_sent_can_be_all_columns_or_what_a_function_makes(server):
    made = [lambda event: {"text": f"order {event['order']}"}, lambda event: "plain", lambda event: b"\0bytes"]
    for format_ in ["json", *made]:
        with webhook(server.url, format=format_, method="PUT") as action:
            action(order(total=float("nan")), context())
    as_json, mapping, text, raw = server.heard
    assert as_json.json()["total"] == "NaN"
    assert as_json.json()["subject"] is None
    assert (mapping.json(), mapping.method) == ({"text": "order 7"}, "PUT")
    assert (text.body, raw.body) == (b"plain", b"\0bytes")
    with webhook(server.url, format=lambda event: object()) as action, pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    assert (caught.value.code, caught.value.permanent) == ("event-json", True)
    assert len(server.heard) == 4


DATE = "Fri, 02 Jan 2026 03:04:35 GMT"
PAST = "Fri, 02 Jan 2026 03:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "retry_after"),
    [
        (408, {}, False, None),
        (425, {}, False, None),
        (429, {"Retry-After": "17"}, False, 17.0),
        (500, {}, False, None),
        (503, {"Retry-After": DATE}, False, 30.0),
        (503, {"Retry-After": PAST}, False, 0.0),
        (503, {"Retry-After": "999999999999"}, False, 86_400.0),
        (503, {"Retry-After": "-5"}, False, None),
        (503, {"Retry-After": "soon"}, False, None),
        (503, {"Retry-After": "Fri, 99 Foo 2026"}, False, None),
        (503, {"Retry-After": "1" * 5_000}, False, None),
        (599, {}, False, None),
        (400, {}, True, None),
        (401, {}, True, None),
        (404, {}, True, None),
        (410, {"Retry-After": "17"}, True, None),
        (301, {"Location": "/elsewhere"}, True, None),
        (307, {"Location": "http://169.254.169.254/"}, True, None),
        (304, {}, True, None),
    ],
)
def test_an_answer_says_whether_and_when_to_try_again(server, status, headers, permanent, retry_after):
    server.answers = [answer(status, headers)]
    with webhook(server.url) as action, pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    error = caught.value
    assert (error.permanent, error.retry_after) == (permanent, retry_after)
    assert error.code == ("webhook-refused" if permanent else "webhook-failed")
    assert str(status) in str(error)
    assert error.action == action.name
    # No redirect was followed.
    assert len(server.heard) == 1
    assert isinstance(pickle.loads(pickle.dumps(error)), cep.ActionError)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(server, status):
    server.answers = [answer(status)]
    with webhook(server.url) as action:
        action(order(), context())
    assert len(server.heard) == 1


def test_the_key_and_the_body_are_the_same_at_every_attempt(server):
    server.answers = [answer(503), answer(503), answer(200)]
    with webhook(server.url, secret=SECRET) as action:
        for attempt in (1, 2):
            with pytest.raises(cep.ActionError):
                action(order(), context(attempt=attempt))
        action(order(), context(attempt=3))
    assert len(server.heard) == 3
    assert len({(heard.headers["webhook-id"], heard.body) for heard in server.heard}) == 1


def test_connections_are_used_again(server):
    ports = set()

    def note(handler):
        ports.add(handler.client_address)
        answer(200)(handler)

    server.answers = [note]
    with webhook(server.url) as action:
        for number in range(5):
            action(order(), context(f"k{number}"))
    assert len(ports) == 1
    assert len(server.heard) == 5


def listener(serve):
    """A socket whose one connection is given to a function; its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        with contextlib.suppress(OSError), listening:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/", thread


def trickle(connection):
    """Each byte in time, and never all of them."""
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"a")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("serve", "says"),
    [
        (trickle, "no answer within 0.3 s"),
        (lambda connection: time.sleep(1), "no answer within 0.3 s"),
        (lambda connection: connection.recv(65_536), "no answer"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n") or connection.recv(65_536), "no answer"),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"a" * 300_000), "no answer"),
    ],
    ids=["byte by byte", "silent", "hangs up", "not HTTP", "endless headers"],
)
def test_a_server_that_does_not_answer_holds_nothing_up(serve, says):
    url, thread = listener(serve)
    with webhook(url) as action, pytest.raises(cep.ActionError) as caught:
        action(order(), context(timeout=0.3))
    assert says in str(caught.value)
    assert (caught.value.code, caught.value.permanent) == ("webhook-failed", False)
    thread.join(10)
    assert not thread.is_alive()


def test_nobody_there_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with webhook(f"http://127.0.0.1:{port}/s3cr3t") as action, pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    assert not caught.value.permanent
    assert "s3cr3t" not in str(caught.value)


def test_an_answer_without_end_is_read_no_further_than_it_is_of_use():
    sent = []

    def endless(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while len(sent) < 10_000:
                connection.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
                sent.append(4096)

    url, thread = listener(endless)
    with webhook(url) as action:
        action(order(), context())
    thread.join(10)
    assert not thread.is_alive()
    assert len(sent) < 10_000


def test_what_has_been_taken_is_taken_although_the_rest_of_the_answer_is_lost():
    def cut(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nhalf")

    def stalled(connection):
        cut(connection)
        connection.recv(1)

    for serve in (cut, stalled):
        url, thread = listener(serve)
        with webhook(url) as action:
            action(order(), context(timeout=0.5))
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_of_an_event_gets_out_of_the_body(server, value):
    with webhook(server.url, secret=SECRET) as action:
        action(order(id=value, type=value, note=value), context(key=value or "k"))
    [heard] = server.heard
    assert heard.json()["data"]["note"] == value
    assert "x-injected" not in heard.headers
    assert heard.path == "/"
    key = heard.headers["webhook-id"]
    assert key.isascii()
    assert key.isprintable()
    assert WebhookSecret(SECRET).verifies(key, int(NOW.timestamp()), heard.body, heard.headers["webhook-signature"])


def test_different_keys_are_different_ids_of_messages_that_receivers_take(server):
    keys = ["k", " k", "k ", "k  ", "%20k", "a b", "é" * 120, "é" * 119 + "e", "x" * 5000, "x" * 5001]
    with webhook(server.url) as action:
        for key in keys:
            action(order(), context(key=key))
    ids = [heard.headers["webhook-id"] for heard in server.heard]
    assert ids == [heard.headers["idempotency-key"] for heard in server.heard]
    assert len(set(ids)) == len(keys)
    assert (ids[0], ids[5]) == ("k", "a b")
    # What `HttpSource` and the columns of databases take.
    assert max(map(len, ids)) <= 255


def test_too_large_a_body_is_refused_for_good(server):
    with webhook(server.url, body_bytes_max=1_000) as action:
        action(order(note="a" * 500), context())
        with pytest.raises(cep.ActionError) as caught:
            action(order(note="a" * 1_000), context())
    assert (caught.value.code, caught.value.permanent) == ("webhook-too-large", True)
    assert len(server.heard) == 1


def test_secrets_are_in_no_repr_no_message_and_no_log(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.answers = [answer(500, {}, b"body-secret"), answer(404), answer(200)]
    url = server.url.replace("http://", "http://user-secret:password-secret@") + "/path-secret?q=query-secret"
    with webhook(url, secret="signing-secret-0123456789", headers={"X-Key": "header-secret"}) as action:
        texts = [repr(action), action.name]
        for _ in range(2):
            with pytest.raises(cep.ActionError) as caught:
                action(order(), context())
            texts += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
        action(order(), context())
    assert server.heard[0].headers["authorization"].startswith("Basic ")
    assert len(texts) == 8
    for text in [*texts, caplog.text]:
        assert "secret" not in text, text


def test_other_requests_of_the_process_are_logged_as_ever(server, caplog):
    caplog.set_level(logging.INFO)
    with webhook(server.url) as action:
        action(order(), context())
    assert not [record for record in caplog.records if record.name == "httpx"]
    httpx.post(server.url, content=b"")
    assert [record for record in caplog.records if record.name == "httpx"]


def test_names_tell_addresses_apart_and_stay_the_same():
    one, other, same = (Webhook(f"https://example.com/{path}") for path in ("a", "b", "a"))
    assert one.name == same.name != other.name
    assert one.name.startswith("webhook:example.com#")
    assert Webhook("https://[::1]:8080/").name.startswith("webhook:[::1]:8080#")
    assert Webhook("https://example.com/", name="billing").name == "billing"


def test_a_cookie_that_one_answer_sets_is_not_sent_with_the_next(server):
    server.answers = [answer(200, {"Set-Cookie": "session=1; Path=/"})]
    with webhook(server.url) as action:
        action(order(), context())
        action(order(), context())
    assert len(server.heard) == 2
    assert all("cookie" not in heard.headers for heard in server.heard)


def test_closing_ends_what_is_under_way_and_the_next_event_begins_anew(server):
    begun = threading.Event()

    def hang(handler):
        begun.set()
        time.sleep(0.5)

    server.answers = [hang, answer(200)]
    action = Webhook(server.url)
    caught = []

    def send():
        try:
            action(order(), context(timeout=30))
        except cep.ActionError as error:
            caught.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    assert begun.wait(10)
    action.close()
    action.close()
    thread.join(10)
    assert [error.code for error in caught] == ["action-closed"]
    with contextlib.closing(action):
        action(order(), context())
    assert len(server.heard) == 2


def test_many_threads_may_send_at_once(server):
    with webhook(server.url, secret=SECRET) as action:
        threads = [threading.Thread(target=action, args=(order(), context(f"k{n}"))) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert {heard.headers["webhook-id"] for heard in server.heard} == {f"k{n}" for n in range(20)}


def test_a_client_of_ones_own_sends_and_is_closed(server):
    client = httpx.AsyncClient(headers={"X-Own": "yes"})
    with webhook(server.url, client=client) as action:
        action(order(), context())
    assert server.heard[0].headers["x-own"] == "yes"
    assert client.is_closed
    with pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    assert caught.value.code == "action-closed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_sends_with_a_thread_of_its_own(server):
    with webhook(server.url) as action:
        action(order(), context("parent"))
        child = os.fork()
        if child == 0:
            try:
                action(order(), context("child"))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        action(order(), context("parent again"))
    assert [heard.headers["webhook-id"] for heard in server.heard] == ["parent", "child", "parent again"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="nothing here makes certificates")
def test_only_a_certificate_that_somebody_vouches_for_is_taken(tmp_path):
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", "req", *made], cwd=tmp_path, check=True, capture_output=True)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def serve(connection):
        with contextlib.suppress(OSError), served.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65_536)
            secure.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            # Closed with something unread the connection would be reset, and the answer lost.
            secure.recv(1)

    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    taken = []
    for verify in (True, trusted, False):
        url, _ = listener(serve)
        with webhook(url.replace("http://127.0.0.1", "https://localhost"), verify=verify) as action:
            try:
                action(order(), context())
                taken.append(verify)
            except cep.ActionError as error:
                assert "certificate" in str(error)
    assert taken == [trusted, False]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"url": "ftp://example.com/"}, cep.AppError),
        ({"url": "file:///etc/passwd"}, cep.AppError),
        ({"url": "http://"}, cep.AppError),
        ({"url": "http://exa mple.com/"}, cep.AppError),
        ({"url": "http://example.com:99999/"}, cep.AppError),
        ({"url": "http://example.com/\r\nX: y"}, cep.AppError),
        ({"url": "http://[::1/"}, cep.AppError),
        ({"url": ""}, cep.AppError),
        ({"url": None}, TypeError),
        ({"url": b"http://example.com/"}, TypeError),
        ({"secret": "short"}, cep.AppError),
        ({"secret": 7}, TypeError),
        ({"secret": []}, cep.AppError),
        ({"method": "GET"}, cep.PatternError),
        ({"format": "xml"}, cep.PatternError),
        ({"headers": {"X": "a\r\nb"}}, cep.AppError),
        ({"headers": {"X Y": "a"}}, cep.AppError),
        ({"headers": {"Webhook-Id": "a"}}, cep.AppError),
        ({"headers": {"Content-Length": "1"}}, cep.AppError),
        ({"headers": {"X": 1}}, TypeError),
        ({"headers": [("X", "1")]}, TypeError),
        ({"timeout": 0}, cep.AppError),
        ({"timeout": float("nan")}, cep.AppError),
        ({"timeout": "5"}, TypeError),
        ({"body_bytes_max": 0}, cep.AppError),
        ({"body_bytes_max": 1.5}, TypeError),
        ({"verify": "no"}, TypeError),
        ({"client": object()}, TypeError),
        ({"name": ""}, cep.AppError),
        ({"name": "a\nb"}, cep.AppError),
        ({"name": 1}, TypeError),
    ],
)
def test_what_cannot_be_a_webhook_is_refused_when_it_is_made(options, error):
    with pytest.raises(error):
        Webhook(**{"url": "https://example.com/", **options})


def test_dates_in_http_that_overflow_are_no_error(server):
    server.answers = [answer(503, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"})]
    with webhook(server.url) as action, pytest.raises(cep.ActionError) as caught:
        action(order(), context())
    assert caught.value.retry_after in (None, 86_400.0)
