"""The registry as documents: AsyncAPI 3 for machines, a catalogue for people."""

from __future__ import annotations

import datetime as dt
import html.parser
import json
import re
from decimal import Decimal

import pytest

import cepheid as cep
from cepheid.schema import EventSchema, SchemaRegistry

CREATED = EventSchema(
    "order.created",
    {"order": "int64", "total": "decimal(10,2)", "lines": [{"sku": "string"}], "note": "json", "data_id": "uint8"},
    required=["order", "data_id"],
    check="total >= 0",
    key="order",
    description="An order was placed.",
    owner="tills",
    example={"order": 7, "total": "19.50", "id": 1},
)
NEXT = EventSchema(
    "order.created", {"order": "int64", "data_id": "uint8", "at": "timestamp"}, version=2, unknown="keep"
)


def registry() -> SchemaRegistry:
    made = SchemaRegistry([CREATED], lint="off")
    made.register(NEXT)
    made.register(EventSchema("order/created", {"a": "bool"}))
    made.register(EventSchema("order created", {"b": "date", "c": {"d": "binary"}}))
    return made


def references(document: object) -> list[str]:
    if isinstance(document, dict):
        own = [document["$ref"]] if "$ref" in document else []
        return own + [found for part in document.values() for found in references(part)]
    return [found for part in document for found in references(part)] if isinstance(document, list) else []


def target(document: dict, reference: str) -> object:
    assert reference.startswith("#/")
    found: object = document
    for part in reference[2:].split("/"):
        assert isinstance(found, dict)
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def test_the_document_keeps_the_rules_of_asyncapi_3():
    document = registry().asyncapi("Shop", "2.1.0")
    assert json.loads(json.dumps(document)) == document
    assert document["asyncapi"] == "3.0.0"
    assert document["info"] == {"title": "Shop", "version": "2.1.0"}
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert set(document) <= allowed
    assert len(document["channels"]) == 3
    for name, channel in document["channels"].items():
        assert set(channel) <= {
            "address",
            "messages",
            "title",
            "summary",
            "description",
            "servers",
            "parameters",
            "tags",
        }
        assert all(set(message) == {"$ref"} for message in channel["messages"].values()), name
    assert len(document["operations"]) == 3
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = target(document, operation["channel"]["$ref"])
        # The messages of an operation are those of its channel, named by way of it.
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
        assert len(operation["messages"]) == len(channel["messages"])
    for part in document["components"].values():
        assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in part)
    known = {"headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags"}
    assert len(document["components"]["messages"]) == 4
    for message in document["components"]["messages"].values():
        assert all(name in known | {"examples"} or name.startswith("x-") for name in message)
        assert target(document, message["correlationId"]["$ref"])["location"] == "$message.payload#/correlationid"
    found = references(document)
    assert len(found) >= 15
    assert all(target(document, reference) is not None for reference in found)


def test_the_document_says_what_the_schemas_say():
    document = registry().asyncapi()
    addresses = sorted(channel["address"] for channel in document["channels"].values())
    assert addresses == ["order created", "order.created", "order/created"]
    channel = document["channels"]["order.created"]
    assert sorted(channel["messages"]) == ["v1", "v2"]
    message = target(document, channel["messages"]["v1"]["$ref"])
    assert message["summary"] == "An order was placed."
    assert message["x-owner"] == "tills"
    [example] = message["examples"]
    assert example["payload"]["data"] == {"order": 7, "total": "19.50", "id": 1}
    envelope = message["payload"]
    assert envelope["properties"]["type"] == {"const": "order.created"}
    assert set(envelope["required"]) == {"specversion", "id", "source", "type", "data"}
    data = target(document, envelope["properties"]["data"]["$ref"])
    # `data_id` is the column; what is sent is the field `id` of the data.
    assert data["required"] == ["order", "id"]
    assert data["properties"] == {
        "order": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        "total": {"type": ["string", "null"], "format": "decimal", "pattern": r"^-?\d{1,8}(\.\d{1,2})?$"},
        "lines": {
            "type": ["array", "null"],
            "items": {
                "type": ["object", "null"],
                "properties": {"sku": {"type": ["string", "null"]}},
                "additionalProperties": False,
            },
        },
        "note": {},
        "id": {"type": "integer", "minimum": 0, "maximum": 255},
    }
    assert data["additionalProperties"] is False
    newer = document["components"]["schemas"]["order.created.v2"]
    assert newer["additionalProperties"] is True
    assert newer["properties"]["at"] == {"type": ["string", "null"], "format": "date-time"}


def test_an_empty_registry_is_a_document_too():
    document = SchemaRegistry().asyncapi()
    assert (document["channels"], document["operations"]) == ({}, {})
    with pytest.raises(TypeError):
        SchemaRegistry().asyncapi(7)
    assert SchemaRegistry().catalogue() == "# Events\n"


class Seen(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_catalogue_says_what_the_schemas_say():
    page = registry().catalogue(title="Shop")
    assert page.startswith("# Shop\n")
    assert "## order.created\n" in page
    assert "- Version: 2\n" in page
    assert "- Earlier versions: 1" in page
    assert "| order | int64 |  |" in page
    alone = SchemaRegistry([CREATED]).catalogue()
    for words in (
        "An order was placed.",
        "- Owner: tills",
        "- Key: order",
        "| order | int64 | yes |",
        '  "total": "19.50"',
    ):
        assert words in alone
    seen = Seen()
    seen.feed(SchemaRegistry([CREATED]).catalogue("html"))
    assert seen.tags.count("tr") == 6
    assert "An order was placed." in seen.text
    with pytest.raises(cep.PatternError):
        registry().catalogue("pdf")


def test_what_a_schema_says_is_text_and_not_markup():
    hostile = EventSchema(
        "order.created",
        {"a|b": "int64", "<script>": "bool"},
        description="<img src=x onerror=alert(1)> | **bold** [link](javascript:x)\n# heading",
        owner="`code`",
        example={"x": "```\n# out"},
    )
    made = SchemaRegistry([hostile], lint="off")
    seen = Seen()
    seen.feed(made.catalogue("html"))
    assert not {"script", "img"} & set(seen.tags)
    assert "<img src=x onerror=alert(1)>" in seen.text
    page = made.catalogue()
    assert "\\<img" in page
    assert "\n# heading" not in page
    assert "| a\\|b | int64 |  |" in page
    assert "\\[link\\]\\(javascript:x\\)" in page
    assert page.count("````") == 2


def test_an_example_is_shown_as_it_would_go_out():
    example = {"day": dt.date(2026, 7, 1), "took": dt.timedelta(seconds=2), "price": Decimal("1.50"), "n": float("nan")}
    columns = {"day": "date", "took": "duration", "price": "decimal(5,2)", "n": "float64"}
    document = SchemaRegistry([EventSchema("parcel.sent", columns, example=example)]).asyncapi()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    [shown] = document["components"]["messages"]["parcel.sent.v1"]["examples"]
    expected = {"day": "2026-07-01", "took": 2_000_000, "price": "1.50", "n": None}
    assert shown["payload"]["data"] == expected
    described = document["components"]["schemas"]["parcel.sent.v1"]["properties"]
    assert described["took"] == {"type": ["integer", "null"]}
