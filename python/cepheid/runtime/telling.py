"""What exceptions that users raise say, as text that can be stored, whatever they do when they are asked."""

from __future__ import annotations

__all__ = ["code_of", "storable", "told_of"]

_TEXT_MAX = 2000
_CODE_MAX = 100


def storable(text: str) -> str:
    """A text without halves of surrogate pairs, which names of files have and UTF-8 has not."""
    return text.encode(errors="backslashreplace").decode()


def told_of(error: BaseException) -> str:
    """An exception's type and what it says."""
    try:
        text = str(error)[:_TEXT_MAX]
    except Exception:
        text = "(it cannot say what is wrong)"
    name = type(error).__name__
    return storable(f"{name}: {text}" if text else name)


def code_of(error: BaseException, default: str) -> str:
    """An exception's code, if it has one that is a short text."""
    try:
        code = getattr(error, "code", None)
    except Exception:
        return default
    return storable(code) if isinstance(code, str) and 0 < len(code) <= _CODE_MAX else default
