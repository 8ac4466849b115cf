"""The package in its process: what importing costs, threads, and the GIL."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import cepheid as cep
from cepheid import col, event, prev


def run(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**kept, **environment}
    )
    return done.stdout


def test_importing_brings_in_no_data_library():
    code = (
        "import sys, cepheid; print([m for m in ('numpy', 'pyarrow', 'pandas', 'polars', 'rich') if m in sys.modules])"
    )
    assert run(code) == "[]\n"


def test_importing_brings_in_few_modules():
    # The benches measure the 60 ms that it may take; how many modules it runs is the same on a busy machine.
    code = "import sys; before = set(sys.modules); import cepheid; print(*sorted(set(sys.modules) - before))"
    modules = run(code).split()
    own = [module for module in modules if module.startswith("cepheid")]
    others = set(modules).difference(own)
    assert "cepheid._native" in own
    assert len(own) <= 75, own
    assert len(others) <= 45, others
    assert not others & {"asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess", "typing_extensions"}


def test_no_event_of_an_app_waits_for_a_module():
    code = """
        import sys
        import cepheid as cep
        app = cep.App("bank", cep.event("a", "amount > 9", topic="payment").select(amount="a.amount").named("large"))
        app.on("payment", batch=True, name="see")(lambda rows: None)
        told = []
        app.action("large", name="tell")(lambda event: told.append(event["amount"]))
        with app:
            before = set(sys.modules)
            app.send([{"type": "payment", "amount": 7}, {"type": "payment", "amount": 70}]).wait(30)
            assert app.drain("30s")
            print(told, set(sys.modules) - before)
    """
    assert run(textwrap.dedent(code)) == "[70] set()\n"


def test_every_public_name_is_there_and_star_imports_work():
    names = {}
    exec("from cepheid import *", names)
    assert set(cep.__all__) <= set(names)
    assert len(cep.__all__) == len(set(cep.__all__))


def test_one_pattern_can_be_matched_from_many_threads():
    pattern = cep.seq(event("a"), event("up", col.x > prev(col.x)).one_or_more(), contiguity="strict").select(
        x="LAST(up.x)"
    )
    data = {"x": np.tile(np.arange(10), 100)}
    expected = list(cep.match(pattern, data))
    assert len(expected) == 100
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: list(cep.match(pattern, data)), range(32)))
    assert all(result == expected for result in results)


def test_the_gil_is_free_while_matching():
    # A stream written in Python is read while another thread holds and waits for the GIL in turn.
    import pyarrow as pa

    table = pa.table({"x": list(range(100))})
    reached, release = threading.Event(), threading.Event()

    def batches():
        yield table.to_batches()[0]
        reached.set()
        assert release.wait(10)
        yield table.to_batches()[0]

    with ThreadPoolExecutor(1) as pool:
        reader = pa.RecordBatchReader.from_batches(table.schema, batches())
        count = pool.submit(event("a", col.x > 97).count, reader)
        assert reached.wait(10)
        assert event("a").count(table) == 100
        release.set()
        assert count.result(10) == 4
