"""What is said of an anomaly rule, with or without its method: plain data, spelled as code."""

from __future__ import annotations

from typing import Any, ClassVar

from cepheid.literal import duration_text
from cepheid.rule_data import RuleData
from cepheid.spelling import expr_code


class AnomalyData(RuleData):
    """An anomaly rule so far."""

    __slots__ = ()

    _WHAT: ClassVar[str] = "an anomaly rule"
    _MADE_BY: ClassVar[str] = "anomaly() or Anomaly.from_dict()"

    def __hash__(self) -> int:
        return hash((self._data.get("name"), self._data.get("topic"), *self._data.get("method", ())))

    def __repr__(self) -> str:
        arguments = [expr_code(self._data["value"]), *self._source_code()]
        method = _method_code(self._data["method"]) if "method" in self._data else ""
        rows = ".all_rows()" if self._data.get("rows") == "all" else ""
        return f"cep.anomaly({', '.join(arguments)}){method}{rows}{self._name_code()}"


def _method_code(method: dict[str, Any]) -> str:
    """The method call that says how values are judged."""
    ((name, parameters),) = method.items()
    arguments = []
    for key, value in parameters.items():
        if key == "recent":
            ((kind, extent),) = value.items()
            arguments.append(f"rows={extent}" if kind == "rows" else f"span={duration_text(extent)!r}")
        elif key.endswith("_ns"):
            arguments.append(f"{key.removesuffix('_ns')}={duration_text(value)!r}")
        else:
            arguments.append(f"{key}={_number_code(value)}")
    return f".{name}({', '.join(arguments)})"


def _number_code(value: bool | float) -> str:
    """As it would be written: without a fraction if there is none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
