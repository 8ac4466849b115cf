"""What the tidy tests look at: the files that git knows, or would take."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Words of others, kept as they are, and records of runs.
NOT_OURS = ("LICENSE", "Cargo.lock", "benches/record/")


@cache
def house_files() -> tuple[str, ...]:
    """Paths below the root, sorted. Without git (an unpacked sdist) the tree itself is walked."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        hidden = {".git", ".venv", "target", "dist", "__pycache__"}
        listing = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if not hidden.intersection(path.parts)]
    return tuple(sorted({name for name in listing if name and (ROOT / name).is_file()}))


def sources(*endings: str, under: str = "") -> list[tuple[str, str]]:
    """(path, text) of our own files with these endings."""
    return [
        (name, (ROOT / name).read_text("utf-8"))
        for name in house_files()
        if name.endswith(endings) and name.startswith(under) and not name.startswith(NOT_OURS)
    ]
