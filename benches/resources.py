"""What time does not show: memory beyond input and output, the size of the wheel, the time that `import` takes.

Each is measured in a process of its own. `python -m benches.resources memory NAME` is such a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from benches.workload import Workload, load_workloads

ROOT = Path(__file__).parent.parent
STATUS = Path("/proc/self/status")
IMPORT = "import time; began = time.perf_counter(); import cepheid; print(time.perf_counter() - began)"


def measure_resources(workloads: list[Workload]) -> dict[str, Any]:
    """All of it, as plain data for the record."""
    return {
        "import_ms": import_milliseconds(),
        "wheel_bytes": wheel_bytes(),
        "extra_bytes_per_row": {
            workload.name: extra_bytes_per_row(workload)
            for workload in workloads
            if workload.rows >= 1_000_000 and workload.output == "matches"
        },
    }


def import_milliseconds(times: int = 15) -> float:
    """The middle of several fresh interpreters; the time that Python itself takes to start is not in it."""
    seen = sorted(float(_python("-c", IMPORT)) for _ in range(times))
    return seen[times // 2] * 1000


def wheel_bytes() -> int | None:
    """The newest wheel in `dist/`, None where none was built."""
    wheels = sorted((ROOT / "dist").glob("cepheid-*.whl"), key=lambda path: path.stat().st_mtime)
    return wheels[-1].stat().st_size if wheels else None


def extra_bytes_per_row(workload: Workload) -> float | None:
    """Peak resident memory during one call, less what was there before and less the output; None off Linux."""
    if not STATUS.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, (table := workload.table()).schema) as writer:
            writer.write_table(table)
        return float(json.loads(_python("-m", "benches.resources", "memory", workload.name, str(path))))


def _measure_here(name: str, path: str) -> float:
    """In the process of its own: read the rows, call once with few of them, set the peak back, call with all."""
    from benches.peers.cepheid_engine import CepheidBuilt, CepheidSql

    [workload] = [workload for workload in load_workloads("full") if workload.name == name]
    with pa.OSFile(path, "rb") as source:
        table = pa.ipc.open_file(source).read_all()
    # What a first call loads once (code, tables of time zones) is not counted to the rows.
    peer = next(peer for peer in (CepheidSql(), CepheidBuilt()) if peer.cannot_run(workload) is None)
    peer.run(workload, peer.prepare(workload, table.slice(0, 1000)))
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    result = peer.run(workload, peer.prepare(workload, table))
    extra = _status("VmHWM") - before - result.nbytes
    assert result.num_rows == workload.answer.matches
    return float(max(extra, 0) / workload.rows)


def _status(field: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no {field}")


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print(_measure_here(*sys.argv[2:4]))
    else:
        began = time.perf_counter()
        print(json.dumps(measure_resources(load_workloads("full")), indent=2))
        sys.stderr.write(f"{time.perf_counter() - began:.0f} s\n")
