"""What is written into a record: versions and the processor, nothing that tells whose machine it was."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CEPHEID_BENCH_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", os.environ["CEPHEID_BENCH_THREADS"])
os.environ.setdefault("OMP_NUM_THREADS", os.environ["CEPHEID_BENCH_THREADS"])

KEPT = ("processor", "machine", "python_version", "python_implementation", "system")


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    cpu = machine_info.get("cpu", {})
    kept = {key: machine_info[key] for key in KEPT if key in machine_info}
    kept["cpu"] = {key: cpu[key] for key in ("brand_raw", "count", "hz_advertised_friendly") if key in cpu}
    kept["threads"] = os.environ["CEPHEID_BENCH_THREADS"]
    machine_info.clear()
    machine_info.update(kept)
