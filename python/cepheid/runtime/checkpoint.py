"""What rules know, saved with the events that they have seen."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import NamedTuple

from cepheid.errors import StoreError

__all__ = ["CHECKPOINT", "Checkpoint"]

#: The name of the state that it is saved as.
CHECKPOINT = "app/rules"

_FORMAT = 1
_LENGTH = struct.Struct("<I")


class Checkpoint(NamedTuple):
    """What rules knew at a moment, and which rows they had seen.

    Attributes:
        position: All rows before it that rules read, they had seen.
        rows: Of each topic, how many rows they had seen: those from the position on that are among them are not to be
            shown again.
        snapshot: What they knew.
        live: Whether the last events were of now when they came.
        failed: Rules that were off because they had failed: see `FailedRules`.
    """

    position: int
    rows: Mapping[str, int]
    snapshot: bytes
    live: bool
    failed: Mapping[str, str | None]

    def to_bytes(self) -> bytes:
        """It as bytes: a header in JSON behind its length, and the snapshot, which has a checksum of its own."""
        told = {"format": _FORMAT, "position": self.position, "rows": dict(self.rows), "live": self.live}
        header = json.dumps({**told, "failed": dict(self.failed)}).encode()
        return b"".join((_LENGTH.pack(len(header)), header, self.snapshot))

    @classmethod
    def from_bytes(cls, saved: bytes) -> Checkpoint:
        """Reads it.

        Raises:
            StoreError: It is none, or of a newer version (code ``store-corrupt`` or ``store-format``).
        """
        try:
            (length,) = _LENGTH.unpack_from(saved)
            header = json.loads(saved[_LENGTH.size : _LENGTH.size + length])
            version, position, rows = header["format"], int(header["position"]), dict(header["rows"])
            live, failed = bool(header["live"]), dict(header["failed"])
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise StoreError("what the app saved of its rules cannot be read", code="store-corrupt") from error
        if version != _FORMAT:
            raise StoreError(
                f"what the app saved of its rules is of format {version}; this version reads {_FORMAT}",
                code="store-format",
            )
        return cls(position, rows, saved[_LENGTH.size + length :], live, failed)
