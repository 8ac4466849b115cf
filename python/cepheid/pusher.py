"""Events one at a time, gathered and pushed to an engine in small batches: `Engine.pusher` makes what does it."""

from __future__ import annotations

from typing import Any

from cepheid._native import Pusher

__all__ = ["Pusher"]

# The class is compiled, and so its examples are not found where doctest looks for them.
__test__: dict[str, Any] = {
    name: member.__doc__
    for name, member in {"Pusher": Pusher, **vars(Pusher)}.items()
    if ">>>" in (getattr(member, "__doc__", None) or "")
}
