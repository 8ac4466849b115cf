"""What is said of a window, with or without its frame: plain data, compared by what it says, spelled as code."""

from __future__ import annotations

from typing import Any, ClassVar

from cepheid.clauses import measures_code
from cepheid.literal import duration_text
from cepheid.rule_data import RuleData

# Names that arguments of `window` have, so that no measure can have them as a keyword.
_ARGUMENTS = ("topic", "by", "where", "event_time")


class WindowData(RuleData):
    """A window so far."""

    __slots__ = ()

    _WHAT: ClassVar[str] = "a window"
    _MADE_BY: ClassVar[str] = "window(), window_from_sql() or Window.from_dict()"

    def __hash__(self) -> int:
        return hash((self._data.get("name"), *(measure["name"] for measure in self._data["measures"])))

    def __repr__(self) -> str:
        # Names that are no keywords stand in a dict, which comes first.
        arguments = [measures_code(self._data["measures"], _ARGUMENTS), *self._source_code()]
        frame = _frame_code(self._data["frame"]) if "frame" in self._data else ""
        reports = _reports_code(self._data.get("reports", {}))
        return f"cep.window({', '.join(arguments)}){frame}{reports}{self._name_code()}"


def _reports_code(reports: dict[str, Any]) -> str:
    """The method calls that say what more is reported."""
    code = ""
    match reports.get("early"):
        case {"every_ns": span}:
            code += f".early(every={duration_text(span)!r})"
        case {"rows": rows}:
            code += f".early(rows={rows})"
    if (empty := reports.get("empty")) is not None:
        code += f".with_empty(for_={duration_text(empty['for_ns'])!r})" if "for_ns" in empty else ".with_empty()"
    if (late := reports.get("late_ns")) is not None:
        code += f".with_late(for_={duration_text(late)!r})"
    return code


def _frame_code(frame: dict[str, Any]) -> str:
    """The method call that gives a window its frame."""
    ((kind, body),) = frame.items()
    if kind == "rows":
        every = f", every={body['every']}" if body["every"] != body["rows"] else ""
        return f".rows({body['rows']}{every})"
    spans = {key.removesuffix("_ns"): repr(duration_text(span)) for key, span in body.items()}
    match kind:
        case "range":
            return f".sliding({spans['preceding']})"
        case "session":
            return f".session(gap={spans['gap']})"
    offset = f", offset={spans['offset']}" if "offset" in spans else ""
    if spans["size"] == spans["every"]:
        return f".tumbling({spans['size']}{offset})"
    return f".hopping({spans['size']}, every={spans['every']}{offset})"
