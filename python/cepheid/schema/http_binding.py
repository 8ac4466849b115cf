"""CloudEvents over HTTP, as their HTTP protocol binding has it: what a request's headers and body say."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from cepheid.errors import SchemaError
from cepheid.schema.json_text import JsonText

__all__ = ["http_events"]

_ATTRIBUTE = re.compile(r"ce-([a-z0-9]+)")
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
_HEADERS_MAX = 200


def http_events(headers: Mapping[str, str], body: bytes) -> JsonText:
    """The events of a request, to be given to `Feed.send` or `SchemaRegistry.ingest`.

    The mode is told by the headers, as CloudEvents has it: *structured* (``application/cloudevents+json``), *batched*
    (``application/cloudevents-batch+json``), *binary* (headers ``ce-...``, the body is the data), and besides plain
    JSON (``application/json``, and lines of it as ``application/x-ndjson``). What is wrong with single events is told
    when they are ingested.

    Args:
        headers: The headers, in any case.
        body: The body.

    Raises:
        TypeError: The body is no bytes.
        SchemaError: The content type is none of these, or text that is no UTF-8 (code ``content-type``); a header
            ``ce-...`` cannot be read, or they lack ``ce-specversion`` (code ``event-attribute``); in binary mode, the
            body is no JSON and says that it is (code ``json-syntax``).

    Example:
        >>> from cepheid.schema import http_events
        >>> headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/till", "ce-type": "order.created",
        ...            "content-type": "application/json"}
        >>> http_events(headers, b'{"total": 20}').payload
        b'{"specversion":"1.0","id":"7","source":"/till","type":"order.created","data":{"total": 20}}'
    """
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"the body is bytes, not {type(body).__name__}")
    body = bytes(body)
    lower = {str(name).lower(): value for name, value in headers.items()}
    content_type = lower.get("content-type", "")
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    charset = re.search(r'charset\s*=\s*"?([\w-]+)', parameters, re.IGNORECASE)
    if media.startswith("application/cloudevents"):
        if media not in ("application/cloudevents+json", "application/cloudevents-batch+json"):
            raise _unsupported(media)
        _check_charset(charset)
        return JsonText(body)
    if any(name.startswith("ce-") for name in lower):
        return _binary(lower, content_type.strip(), media, charset, body)
    if media in ("application/json", "text/json", *_LINES) or media.endswith("+json"):
        _check_charset(charset)
        return JsonText(body)
    raise _unsupported(media)


def _unsupported(media: str) -> SchemaError:
    return SchemaError(
        f"the content type is `{media[:100] or 'missing'}`; send application/cloudevents+json, "
        "application/cloudevents-batch+json, application/json or application/x-ndjson, or headers ce-...",
        code="content-type",
        found=media[:100],
    )


def _is_utf8(charset: re.Match[str] | None) -> bool:
    return charset is None or charset[1].lower() in ("utf-8", "utf8", "us-ascii")


def _check_charset(charset: re.Match[str] | None) -> None:
    if charset is not None and not _is_utf8(charset):
        raise SchemaError(f"the text is in `{charset[1]}`; send UTF-8", code="content-type", found=charset[1])


def _binary(
    headers: Mapping[str, str], content_type: str, media: str, charset: re.Match[str] | None, body: bytes
) -> JsonText:
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if not name.startswith("ce-"):
            continue
        match = _ATTRIBUTE.fullmatch(name)
        if match is None or match[1] in ("data", "database64"):
            raise _attribute(f"`{name[:100]}` is no attribute of CloudEvents: lower case letters and digits")
        if match[1] == "datacontenttype":
            raise _attribute("`ce-datacontenttype` is said by the header content-type")
        attributes[match[1]] = _decoded(name, value)
    if len(attributes) > _HEADERS_MAX:
        raise _attribute(f"it has more than {_HEADERS_MAX} headers ce-...")
    if "specversion" not in attributes:
        raise _attribute("the header `ce-specversion` is missing")
    parts = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}" for name, value in attributes.items()]
    is_json = media in ("", "application/json", "text/json") or media.endswith("+json")
    if content_type and not is_json:
        parts.append(f'"datacontenttype":{json.dumps(content_type)}')
    text = "{" + ",".join(parts)
    # White space is no JSON, and is data of any other kind.
    if not (body.strip() if is_json else body):
        return JsonText(text + "}")
    if is_json:
        _check_charset(charset)
        if not _is_json(body):
            raise SchemaError("the body is no JSON, which its content type says that it is", code="json-syntax")
        return JsonText(text.encode() + b',"data":' + body + b"}")
    if media.startswith("text/") and _is_utf8(charset):
        try:
            return JsonText(text + f',"data":{json.dumps(body.decode(), ensure_ascii=False)}}}')
        except UnicodeDecodeError:
            pass
    return JsonText(text + f',"data_base64":"{base64.b64encode(body).decode()}"}}')


def _is_json(body: bytes) -> bool:
    # The body is put into another text, and must not be able to end the object that it stands in.
    def refused(word: str) -> Any:
        raise ValueError(word)

    try:
        json.loads(body.decode("utf-8"), parse_constant=refused, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(name: str, value: str) -> str:
    """The value of a header: percent-encoded UTF-8, perhaps in double quotes."""
    value = str(value).strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeError:
        raise _attribute(f"`{name[:100]}` is no percent-encoded UTF-8") from None


def _attribute(reason: str) -> SchemaError:
    return SchemaError(reason, code="event-attribute")
