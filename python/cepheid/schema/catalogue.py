"""The declared types as a page for people, in Markdown and in HTML."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from typing import Any

from cepheid.schema.event_schema import EventSchema

__all__ = ["html_page", "markdown_page"]

_UNKNOWN = {"keep": "become columns", "drop": "are left out", "reject": "have the event rejected"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>&~-])")


def _facts(schema: EventSchema) -> list[tuple[str, str]]:
    """What is said of a type besides its columns: names and texts."""
    facts = [("Version", str(schema.version))]
    facts += [(what.capitalize(), text) for what in ("owner", "key", "subject") if (text := getattr(schema, what))]
    if schema.check is not None:
        facts.append(("Check", repr(schema.check)))
    facts.append(("Other fields", _UNKNOWN[schema.unknown]))
    return facts


def _columns(schema: EventSchema) -> list[tuple[str, str, str]]:
    shown = schema.columns.items()
    return [(name, _type(kind), "yes" if name in schema.required else "") for name, kind in shown]


def _type(kind: Any) -> str:
    """A type in words, objects with their fields."""
    if isinstance(kind, dict):
        return "object of " + ", ".join(f"{name}: {_type(part)}" for name, part in kind.items())
    return f"list of {_type(kind[0])}" if isinstance(kind, list) else str(kind)


def _example(schema: EventSchema) -> str:
    return json.dumps(schema.example, indent=2, default=str, ensure_ascii=False)


def markdown_page(schemas: Sequence[Sequence[EventSchema]], title: str) -> str:
    """The page in Markdown.

    Args:
        schemas: The versions of each type, the newest last.
        title: What stands at its head.
    """
    lines = [f"# {_escaped(title)}", ""]
    for versions in schemas:
        newest = versions[-1]
        lines += [f"## {_escaped(newest.type)}", ""]
        if newest.description:
            lines += [_escaped(newest.description), ""]
        lines += [f"- {what}: {_escaped(text)}" for what, text in _facts(newest)]
        if len(versions) > 1:
            lines.append(f"- Earlier versions: {', '.join(str(schema.version) for schema in versions[:-1])}")
        lines += ["", "| Column | Type | Required |", "|---|---|---|"]
        lines += [f"| {_escaped(name)} | {_escaped(kind)} | {required} |" for name, kind, required in _columns(newest)]
        if newest.example is not None:
            text = _example(newest)
            # A fence longer than any in the text, so that nothing in it ends the block.
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
            lines += ["", f"{fence}json", text, fence]
        lines.append("")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Text that means itself in Markdown, on one line."""
    # Dots, dashes and underscores within words are what names are made of, and mean nothing there.
    plain = " ".join(text.split())
    return _MARKDOWN.sub(lambda match: match[1] if _within_word(plain, match.start()) else f"\\{match[1]}", plain)


def _within_word(text: str, place: int) -> bool:
    around = text[max(0, place - 1) : place + 2]
    return text[place] in "_-" and len(around) == 3 and around[0].isalnum() and around[2].isalnum()


def html_page(schemas: Sequence[Sequence[EventSchema]], title: str) -> str:
    """The page in HTML, whole and without anything from elsewhere.

    Args:
        schemas: The versions of each type, the newest last.
        title: What stands at its head.
    """
    told = html.escape
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{told(title)}</title>',
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:left}"
        "pre{background:#f4f4f4;padding:1rem;overflow:auto}</style></head><body>",
        f"<h1>{told(title)}</h1>",
    ]
    for versions in schemas:
        newest = versions[-1]
        parts.append(f"<h2>{told(newest.type)}</h2>")
        if newest.description:
            parts.append(f"<p>{told(newest.description)}</p>")
        facts = _facts(newest)
        if len(versions) > 1:
            facts.append(("Earlier versions", ", ".join(str(schema.version) for schema in versions[:-1])))
        parts.append("<ul>" + "".join(f"<li>{told(what)}: {told(text)}</li>" for what, text in facts) + "</ul>")
        parts.append("<table><tr><th>Column</th><th>Type</th><th>Required</th></tr>")
        parts += ["<tr>" + "".join(f"<td>{told(cell)}</td>" for cell in row) + "</tr>" for row in _columns(newest)]
        parts.append("</table>")
        if newest.example is not None:
            parts.append(f"<pre>{told(_example(newest))}</pre>")
    parts.append("</body></html>")
    return "\n".join(parts)
