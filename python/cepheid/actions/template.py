"""Texts with columns of the event in them: the braces of `str.format`, and nothing else of it."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Any, final

from cepheid.actions.checking import invalid_action, missing_column
from cepheid.actions.event_json import text_of
from cepheid.errors import ActionError

__all__ = ["Template"]

# What stands behind the colon: no braces, so that no value of an event can make it up, and no width of millions.
_FORM = re.compile(r"[^{}]{0,32}")
_LONG_NUMBER = re.compile(r"[0-9]{4}")
_NOT_LOOKED_UP = re.compile(r"[.\[\]!]")


@final
class Template:
    """A text with ``{column}`` in it, where the value of that column is to stand.

    ``{{`` and ``}}`` are braces. A form may stand behind a colon, as in ``{amount:.2f}``. There are no attributes, no
    indexes and no conversions: a template cannot reach beyond the columns, and what a value says is never read as a
    template.

    Args:
        text: The template.
        what: What it is, for messages.

    Raises:
        TypeError: It is no text.
        AppError: It is no template (code ``invalid-action``).

    Example:
        >>> from cepheid.actions.template import Template
        >>> Template("{type}: {amount:.2f} {{EUR}}").fill({"type": "paid", "amount": 3}, "notify")
        'paid: 3.00 {EUR}'
    """

    __slots__ = ("_parts", "columns", "text")

    #: The template as it was given.
    text: str
    #: The columns that it names, each once.
    columns: tuple[str, ...]

    _parts: list[tuple[str, str | None, str]]

    def __init__(self, text: str, what: str = "a template") -> None:
        if not isinstance(text, str):
            raise TypeError(f"{what} is text, not {type(text).__name__}")
        self.text = text
        self._parts = []
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise invalid_action(f"{what} {text[:100]!r} is no template: {error}; write {{{{ for a brace") from None
        for literal, column, form, conversion in parsed:
            if column is not None:
                if not column or column.isdigit() or conversion or _NOT_LOOKED_UP.search(column):
                    raise invalid_action(
                        f"{what} {text[:100]!r} has {{{column[:50]}...}}; between braces stands the name of a column, "
                        "without attributes, indexes and conversions"
                    )
                if not _FORM.fullmatch(form or "") or _LONG_NUMBER.search(form or ""):
                    raise invalid_action(
                        f"{what} {text[:100]!r} has a form behind `{column[:50]}:` that is too long, or has braces"
                    )
            self._parts.append((literal, column, form or ""))
        self.columns = tuple(dict.fromkeys(column for _, column, _ in self._parts if column is not None))

    @property
    def beginning(self) -> str:
        """What stands in front of the first column; of a template without columns all of it.

        Example:
            >>> from cepheid.actions.template import Template
            >>> Template("out/{type}.jsonl").beginning
            'out/'
        """
        return self._parts[0][0] if self._parts else ""

    def fill(self, event: Mapping[str, Any], action: str, *, made_safe: Callable[[str, str], str] | None = None) -> str:
        """The text, with the values of an event.

        Args:
            event: The event, by column.
            action: Who asks, for messages.
            made_safe: What is done to the text of each value, given the column and the text.

        Raises:
            ActionError: The event lacks a column (code ``action-column``), or a value does not take the form (code
                ``action-template``); both are permanent.

        Example:
            >>> from cepheid.actions.template import Template
            >>> Template("{note}").fill({"note": "{0.__class__}"}, "notify")
            '{0.__class__}'
        """
        filled: list[str] = []
        for literal, column, form in self._parts:
            filled.append(literal)
            if column is None:
                continue
            if column not in event:
                raise missing_column(column, event, action)
            value = event[column]
            if not form or value is None:
                text = text_of(value)
            else:
                try:
                    text = format(value, form)
                except (TypeError, ValueError) as error:
                    raise ActionError(
                        f"{action}: the value of `{column}` does not take the form `{form}` ({type(error).__name__})",
                        code="action-template",
                        action=action,
                        permanent=True,
                    ) from None
            filled.append(text if made_safe is None else made_safe(column, text))
        return "".join(filled)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"
