"""Event sequences by hand: what DuckDB and Polars can say of them, each form as fast as we could make it."""
