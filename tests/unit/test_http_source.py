"""Webhooks, posted by a real client to a real server: who may send, what is answered, and what is counted once."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from feeds import MemoryFeed, json_text_module, running

from cepheid import AppError, PatternError, SchemaError
from cepheid.connectors import HttpSource, Source
from cepheid.connectors.webhook_guard import MessageIds
from cepheid.signing import WebhookSecret

json_text_module()

SECRET = "correct horse battery staple"
BODY = b'{"type": "order.created", "n": 1}'
JSON = {"content-type": "application/json"}


class Server:
    """A running source, and who posts to it."""

    def __init__(self, source: HttpSource, feed: MemoryFeed, client: httpx.Client) -> None:
        self.source, self.feed, self.client = source, feed, client

    def post(self, body: Any = BODY, headers: dict[str, str] | None = None, **signed: Any) -> httpx.Response:
        sent = {"content-type": "application/json", **(headers or {})}
        if signed:
            sent = {**signature(body, **signed), **sent}
        return self.client.post("/events", content=body, headers=sent)


def signature(body: bytes, message_id: str = "msg-1", at: float = 0, secret: str = SECRET) -> dict[str, str]:
    timestamp = int(time.time() + at)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": WebhookSecret(secret).sign(message_id, timestamp, body),
    }


@contextmanager
def serving(feed: MemoryFeed | None = None, **options: Any) -> Generator[Server]:
    feed = MemoryFeed() if feed is None else feed
    source = HttpSource(port=0, **{"secret": SECRET, **options})
    with running(source, feed):
        port = source.listening(20)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            yield Server(source, feed, client)


def test_a_signed_event_is_on_the_disk_when_it_is_answered() -> None:
    with serving(topic="order.created") as server:
        answer = server.post(message_id="msg-1")
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        assert server.feed.rows == [BODY]
        assert server.feed.committed[0].topic == "order.created"
        assert server.source.port == server.client.base_url.port
        assert isinstance(server.source, Source)
    assert server.source.port is None


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "msg-2"},
        {"webhook-id": "x" * 300},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 40},
        {"webhook-timestamp": "\u0661"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,AAAA"},
    ],
)
def test_what_is_not_signed_is_answered_without_detail_and_not_read(change: dict[str, str]) -> None:
    with serving() as server:
        headers = {name: value.encode() for name, value in {**signature(BODY), **change}.items()}
        answer = server.client.post("/events", content=BODY, headers={"content-type": "application/json", **headers})
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})
        assert server.post().status_code == 401
        assert server.client.post("/events", content=b"[" * 1000).status_code == 401
        assert server.feed.committed == []


def test_a_body_that_was_changed_is_refused() -> None:
    with serving() as server:
        answer = server.client.post("/events", content=BODY + b" ", headers=signature(BODY))
        assert answer.status_code == 401
        assert server.feed.committed == []


def test_messages_of_another_time_are_refused_on_both_sides() -> None:
    with serving(replay_window="1m") as server:
        assert server.post(message_id="a", at=-120).status_code == 401
        assert server.post(message_id="b", at=120).status_code == 401
        assert server.post(message_id="c", at=-30).status_code == 202
        assert server.post(message_id="d", at=30).status_code == 202


def test_secrets_can_be_changed_while_senders_have_the_old_one() -> None:
    new = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with serving(secret=[SECRET, new]) as server:
        assert server.post(message_id="a").status_code == 202
        assert server.post(message_id="b", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").status_code == 202
        assert server.post(message_id="c", secret="another secret of some length").status_code == 401


def test_a_message_that_comes_again_counts_once() -> None:
    with serving() as server:
        assert server.post(message_id="a").status_code == 202
        again = server.post(message_id="a")
        assert (again.status_code, again.json()) == (200, {"accepted": 0, "repeated": True})
        assert server.post(message_id="b").status_code == 202
        assert len(server.feed.rows) == 2


def test_a_message_that_comes_again_after_a_restart_counts_once() -> None:
    with serving() as server:
        for number in range(600):
            assert server.post(message_id=f"msg-{number}").status_code == 202
        offset = server.feed.offset
    assert offset is not None
    assert len(offset) < 20_000
    with serving(MemoryFeed(offset)) as server:
        assert server.post(message_id="msg-599").status_code == 200
        assert server.post(message_id="msg-100").status_code == 200
        # The limit: ids of older messages are not saved.
        assert server.post(message_id="msg-0").status_code == 202


def test_a_replay_whose_body_dawdles_until_its_id_is_forgotten_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    real, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    with serving(replay_window="60s") as server:
        sent = signature(BODY, "a")
        assert server.client.post("/events", content=BODY, headers={**JSON, **sent}).status_code == 202
        head = {**JSON, **sent, "host": "x", "content-length": str(len(BODY)), "expect": "100-continue"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        port = server.source.port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(f"POST /events HTTP/1.1\r\n{lines}\r\n".encode())
            # It has been found to be of now, and its body is waited for.
            assert b" 100 " in connection.recv(1000)
            ahead[0] = 61
            connection.sendall(BODY)
            answer = connection.recv(1000)
        assert b" 401 " in answer.partition(b"\r\n")[0]
        assert len(server.feed.rows) == 1


def test_a_message_that_was_sent_again_cannot_be_replayed_once_the_first_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    with serving(replay_window="5m") as server:
        assert server.post(message_id="a").status_code == 202
        ahead[0] = 200
        second = {**JSON, **signature(BODY, "a")}
        assert server.client.post("/events", content=BODY, headers=second).status_code == 200
        ahead[0] = 400
        assert server.client.post("/events", content=BODY, headers=second).status_code == 200
        offset = server.feed.offset
        assert server.post(message_id="b").status_code == 202
        assert server.feed.offset != offset
        assert len(server.feed.rows) == 2
    with serving(MemoryFeed(server.feed.offset)) as server:
        assert server.client.post("/events", content=BODY, headers=second).status_code == 200


def test_a_repeat_of_what_is_still_under_way_is_remembered_as_long_as_it_could_be_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    feed = MemoryFeed(auto=False)
    with serving(feed, replay_window="5m", request_timeout="200ms") as server:
        assert server.post(message_id="a").status_code == 503
        ahead[0] = 200
        second = {**JSON, **signature(BODY, "a")}
        assert server.client.post("/events", content=BODY, headers=second).status_code == 503
        feed.commit()
        ahead[0] = 400
        deadline = time.monotonic() + 20
        while (answer := server.client.post("/events", content=BODY, headers=second)).status_code == 503:
            assert time.monotonic() < deadline
        assert answer.json() in ({"accepted": 0, "repeated": True}, {"accepted": 1})
        assert len(feed.pending) + len(feed.committed) == 1


def test_whatever_may_have_been_taken_and_not_answered_is_known_after_a_restart() -> None:
    with serving(requests_max=700) as server:
        for number in range(600):
            assert server.post(message_id=f"msg-{number}").status_code == 202
        offset = server.feed.offset
    with serving(MemoryFeed(offset)) as server:
        assert server.post(message_id="msg-0").status_code == 200


def test_repeats_that_come_at_the_same_time_count_once() -> None:
    feed = MemoryFeed(auto=False)
    with serving(feed) as server:
        answers: list[httpx.Response] = []
        threads = [threading.Thread(target=lambda: answers.append(server.post(message_id="a"))) for _ in range(5)]
        for thread in threads:
            thread.start()
        feed.until(lambda feed: len(feed.pending) == 1)
        feed.commit()
        for thread in threads:
            thread.join(20)
        assert sorted(answer.status_code for answer in answers)[-1] == 202
        assert {answer.status_code for answer in answers} <= {200, 202}
        assert len(feed.rows) == 1


def test_a_message_that_failed_may_come_again() -> None:
    feed = MemoryFeed()
    with serving(feed) as server:
        feed.failing = AppError("the disk is full at a secret place", code="app-failed")
        answer = server.post(message_id="a")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "secret place" not in answer.text
        feed.failing = SchemaError("column `n` is text", code="column-type")
        answer = server.post(message_id="a")
        assert (answer.status_code, answer.json()["code"]) == (400, "column-type")
        feed.failing = None
        assert server.post(message_id="a").status_code == 202


def test_a_full_app_has_senders_come_again_and_counts_them_once() -> None:
    feed = MemoryFeed(auto=False, capacity=1)
    with serving(feed, request_timeout="200ms") as server:
        answers = [server.post(message_id=name) for name in ("a", "b")]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        feed.commit()
        feed.until(lambda feed: len(feed.pending) == 1)
        feed.commit()
        # Both have been taken all the same.
        deadline = time.monotonic() + 20
        while server.post(message_id="b").status_code == 503 and time.monotonic() < deadline:
            continue
        assert [server.post(message_id=name).status_code for name in ("a", "b")] == [200, 200]
        assert len(feed.rows) == 2


def test_so_many_requests_wait_and_no_more() -> None:
    feed = MemoryFeed(auto=False)
    with serving(feed, requests_max=2) as server:
        threads = [threading.Thread(target=server.post, kwargs={"message_id": name}) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        feed.until(lambda feed: len(feed.pending) == 2)
        assert server.post(message_id="c").status_code == 503
        feed.commit()
        for thread in threads:
            thread.join(20)


def test_when_no_more_ids_can_be_remembered_senders_come_again() -> None:
    with serving(ids_max=2) as server:
        assert [server.post(message_id=name).status_code for name in "abca"] == [202, 202, 429, 200]


def test_ids_are_forgotten_when_they_cannot_come_again() -> None:
    ids = MessageIds(2)
    ids.add("a", time.time() - 1)
    ids.add("b", time.time() + 60)
    assert ids.is_full() is False
    assert ("a" in ids, "b" in ids) == (False, True)
    ids.add("c", time.time() + 60)
    assert ids.is_full()
    assert "b" in MessageIds(2, ids.saved())


def test_bodies_are_limited_with_their_length_said_or_not() -> None:
    with serving(body_bytes_max="1KB") as server:
        assert server.post(b'{"n": "' + b"x" * 1200 + b'"}', message_id="a").status_code == 413
        edge = b'{"n": "' + b"x" * (1000 - 9) + b'"}'
        assert server.post(edge, message_id="b").status_code == 202

        def chunks() -> Generator[bytes]:
            for _ in range(1000):
                yield b"x" * 100

        sent = signature(b"x" * 100_000, "c")
        with disconnected(httpx.TransportError):
            assert server.client.post("/events", content=chunks(), headers=sent).status_code == 413
        assert len(server.feed.rows) == 1


@contextmanager
def disconnected(*errors: type[Exception]) -> Generator[None]:
    # A server that answers before a body has come to its end may close what the client still writes to.
    try:
        yield
    except errors:
        return


def test_bodies_that_are_compressed_or_of_another_type_are_refused() -> None:
    with serving() as server:
        for encoding in ("gzip", "br", "deflate, identity"):
            assert server.post(headers={"content-encoding": encoding}, message_id="a").status_code == 415
        answer = server.post(headers={"content-type": "text/html"}, message_id="a")
        assert (answer.status_code, answer.json()["code"]) == (415, "content-type")
        assert server.post(headers={"content-encoding": "identity"}, message_id="a").status_code == 202


def test_other_methods_and_paths_are_answered_as_such() -> None:
    with serving() as server:
        answer = server.client.get("/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert server.client.options("/events").status_code == 405
        for path in ("/", "/events/", "/events/../x", "/docs", "/Events"):
            assert server.client.post(path, content=BODY).status_code == 404
        assert server.client.get("/health").json() == {"status": "ok"}
        assert "server" not in answer.headers


def test_permission_is_given_to_those_who_are_named() -> None:
    with serving(allowed_origins=["events.example.com"]) as server:
        asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
        answer = server.client.options("/events", headers=asked)
        assert answer.status_code == 200
        assert answer.headers["webhook-allowed-origin"] == "events.example.com"
        assert answer.headers["webhook-allowed-rate"] == "*"
        for origin in ("evil.example.com", ""):
            answer = server.client.options("/events", headers={"WebHook-Request-Origin": origin})
            assert answer.status_code == 403
            assert "webhook-allowed-origin" not in answer.headers


def test_a_body_that_does_not_come_is_not_waited_for_for_long() -> None:
    with serving(request_timeout="100ms") as server:
        head = "\r\n".join(f"{name}: {value}" for name, value in signature(b"x" * 10).items())
        with socket.create_connection(("127.0.0.1", server.source.listening(5)), timeout=20) as connection:
            connection.sendall(f"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n{head}\r\n\r\nx".encode())
            assert b" 408 " in connection.recv(1000)
        # One that goes away in the middle.
        with socket.create_connection(("127.0.0.1", server.source.listening(5)), timeout=20) as connection:
            connection.sendall(f"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n{head}\r\n\r\nx".encode())
        assert server.post(message_id="a").status_code == 202


def test_what_is_no_http_harms_nobody() -> None:
    with serving() as server:
        for garbage in (
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /events HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        ):
            address = "127.0.0.1", server.source.listening(5)
            with disconnected(OSError), socket.create_connection(address, timeout=20) as connection:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(10_000):
                    continue
        for length in ("-1", "x", "9" * 30):
            answer = b""
            with socket.create_connection(("127.0.0.1", server.source.listening(5)), timeout=20) as connection:
                connection.sendall(f"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode())
                answer = connection.recv(1000)
            assert answer.split(b" ")[1] in (b"400", b"401", b"413")
        assert server.post(message_id="a").status_code == 202
        assert len(server.feed.rows) == 1


def test_events_of_everybody_are_taken_if_that_is_said() -> None:
    with serving(secret=None, unsigned=True) as server:
        assert server.post().status_code == 202
        assert server.post(headers={"webhook-id": "a"}).status_code == 202
        assert len(server.feed.rows) == 2
        assert server.feed.offset is None


def test_it_stops_with_what_has_come_answered() -> None:
    feed = MemoryFeed(auto=False)
    source = HttpSource(port=0, secret=SECRET)
    answers: list[httpx.Response] = []
    with running(source, feed):
        port = source.listening(20)

        def post() -> None:
            with httpx.Client(timeout=20, trust_env=False) as client:
                headers = {"content-type": "application/json", **signature(BODY)}
                answers.append(client.post(f"http://127.0.0.1:{port}/events", content=BODY, headers=headers))

        sender = threading.Thread(target=post)
        sender.start()
        feed.until(lambda feed: len(feed.pending) == 1)
        feed.stop()
        feed.commit()
        sender.join(20)
    assert [answer.status_code for answer in answers] == [202]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_client_that_keeps_its_connection_does_not_hold_up_the_stop() -> None:
    with serving() as server:
        assert server.post(message_id="a").status_code == 202
        began = time.monotonic()
        server.feed.stop()
        while server.source.port is not None and time.monotonic() - began < 20:
            time.sleep(0.01)
        assert server.source.port is None


def test_a_port_that_somebody_has_is_an_error() -> None:
    with serving() as server:
        for host, port in (("127.0.0.1", server.source.listening(5)), ("no.such.host.invalid", 0), ("\ud800", 0)):
            with pytest.raises(AppError) as error:
                HttpSource(host, port, secret=SECRET).run(MemoryFeed())
            assert error.value.code == "source-address"
    with pytest.raises(TimeoutError):
        HttpSource(port=0, secret=SECRET).listening(0.001)


def test_it_listens_on_the_loopback_interface_unless_it_is_told() -> None:
    source = HttpSource(port=0, secret=SECRET)
    with source._open_socket() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_it_speaks_tls_with_a_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    feed = MemoryFeed()
    source = HttpSource(port=0, secret=SECRET, certificate=certificate, key=key)
    with running(source, feed):
        trusted = ssl.create_default_context(cafile=str(certificate))
        url = f"https://127.0.0.1:{source.listening(20)}"
        with httpx.Client(base_url=url, verify=trusted, timeout=20, trust_env=False) as client:
            headers = {"content-type": "application/json", **signature(BODY)}
            assert client.post("/events", content=BODY, headers=headers).status_code == 202
    for wrong in ({"certificate": key, "key": key}, {"certificate": tmp_path / "none"}, {"key": key}):
        with pytest.raises(AppError) as error:
            HttpSource(secret=SECRET, **wrong)
        assert error.value.code == "source-option"


def test_secrets_are_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        shown = repr(server.source)
        server.post(message_id="a")
        server.post(message_id="b", secret="another secret of some length")
        server.post(headers={"content-type": "text/html"}, message_id="c")
    assert SECRET not in shown
    assert "signed" in shown
    logged = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert SECRET not in logged
    assert "v1," not in logged
    assert "order.created" not in logged


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        ({"secret": None}, AppError, "webhook-secret"),
        ({}, AppError, "webhook-secret"),
        ({"secret": ""}, AppError, "webhook-secret"),
        ({"secret": "short"}, AppError, "webhook-secret"),
        ({"secret": []}, AppError, "webhook-secret"),
        ({"secret": 7}, TypeError, None),
        ({"secret": [7]}, TypeError, None),
        ({"secret": SECRET, "unsigned": True}, AppError, "source-option"),
        ({"unsigned": 1}, TypeError, None),
        ({"secret": SECRET, "path": "events"}, AppError, "source-option"),
        ({"secret": SECRET, "path": "/health"}, AppError, "source-option"),
        ({"secret": SECRET, "path": "/{x}"}, AppError, "source-option"),
        ({"secret": SECRET, "port": 70_000}, AppError, "source-option"),
        ({"secret": SECRET, "port": "80"}, TypeError, None),
        ({"secret": SECRET, "host": ""}, AppError, "source-option"),
        ({"secret": SECRET, "body_bytes_max": "-1"}, AppError, "source-option"),
        ({"secret": SECRET, "replay_window": "0s"}, AppError, "source-option"),
        ({"secret": SECRET, "replay_window": "long"}, PatternError, "invalid-duration"),
        ({"secret": SECRET, "allowed_origins": ["a\r\nb"]}, AppError, "source-option"),
        ({"secret": SECRET, "allowed_origins": [7]}, TypeError, None),
        ({"secret": SECRET, "topic": 7}, TypeError, None),
    ],
)
def test_arguments_that_fit_no_server_are_refused(arguments: Any, error: type[Exception], code: str | None) -> None:
    with pytest.raises(error) as raised:
        HttpSource(**arguments)
    assert getattr(raised.value, "code", None) == code
    assert SECRET not in str(raised.value)


def test_what_is_missing_is_named_with_what_brings_it() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from cepheid.connectors import HttpSource\n"
        "try:\n    HttpSource(secret='correct horse battery staple')\n"
        "except ImportError as error:\n    print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "HttpSource needs uvicorn: pip install 'cepheid[http]'"


def test_many_senders_at_once_are_all_answered() -> None:
    with serving() as server:
        url = f"http://127.0.0.1:{server.source.listening(5)}/events"

        async def post_all() -> list[int]:
            limits = httpx.Limits(max_connections=30)
            async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as client:

                async def post(number: int) -> int:
                    body = b'{"n": %d}' % number
                    headers = {"content-type": "application/json", **signature(body, f"msg-{number}")}
                    return (await client.post(url, content=body, headers=headers)).status_code

                return await asyncio.gather(*(post(number) for number in range(200)))

        assert set(asyncio.run(post_all())) == {202}
        assert sorted(server.feed.rows) == sorted(b'{"n": %d}' % number for number in range(200))
