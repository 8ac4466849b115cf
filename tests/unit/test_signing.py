import base64

import pytest

from cepheid.errors import AppError
from cepheid.signing import WebhookSecret


def test_a_signature_is_that_of_the_specification():
    # The example of the Standard Webhooks specification.
    secret = WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "change",
    [
        {"message_id": "msg-2"},
        {"timestamp": 2},
        {"body": b"{ }"},
        {"signatures": "v1,"},
        {"signatures": ""},
        {"signatures": "v1,ü"},
        {"signatures": "v2," + "A" * 44},
    ],
)
def test_whatever_is_changed_does_not_verify(change):
    secret = WebhookSecret(b"0123456789abcdef")
    message = {"message_id": "msg-1", "timestamp": 1, "body": b"{}"}
    signed = {**message, "signatures": secret.sign(**message)}
    assert secret.verifies(**signed)
    assert not secret.verifies(**{**signed, **change})
    assert not WebhookSecret(b"0123456789abcdeg").verifies(**signed)


def test_one_of_several_signatures_is_enough():
    old, new = WebhookSecret(b"0123456789abcdef"), WebhookSecret(b"fedcba9876543210")
    both = f"{new.sign('m', 1, b'')} {old.sign('m', 1, b'')}"
    assert old.verifies("m", 1, b"", both)
    assert new.verifies("m", 1, b"", both)


def test_secrets_are_not_shown_and_not_short():
    encoded = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
    assert "0123" not in repr(WebhookSecret(b"0123456789abcdef"))
    assert WebhookSecret(encoded).sign("m", 1, b"") == WebhookSecret(b"0123456789abcdef").sign("m", 1, b"")
    # Text of an environment that is no UTF-8 comes as the last two.
    odd = ("whsec_" + "ü" * 32, "whsec_" + "\udc80" * 32, "hidden \udc80" * 8)
    for wrong in ("", "short", "whsec_c2hvcnQ=", "whsec_?", b"", *odd):
        with pytest.raises(AppError) as caught:
            WebhookSecret(wrong)
        assert caught.value.code == "webhook-secret"
        # Nor is it among the parts of an error before.
        assert caught.value.__context__ is None
    with pytest.raises(TypeError):
        WebhookSecret(7)
