"""One file a peer. A peer that is not installed, or cannot say a question, says why; it is never left out silently."""

from __future__ import annotations

from importlib import import_module

from benches.peers.peer import Peer

PEERS = (
    ("benches.peers.cepheid_engine", "CepheidSql"),
    ("benches.peers.cepheid_engine", "CepheidBuilt"),
    ("benches.peers.duckdb_sql", "DuckDb"),
    ("benches.peers.polars_expr", "Polars"),
    ("benches.peers.pandas_match_recognize", "PandasMatchRecognize"),
    ("benches.peers.rustevex_patterns", "Rustevex"),
    ("benches.peers.bobocep_runs", "BoboCep"),
    ("benches.peers.pycer_core", "PycerCore"),
    ("benches.peers.stream_processors", "Bytewax"),
    ("benches.peers.stream_processors", "Pathway"),
    ("benches.peers.stream_processors", "Csp"),
)


def load_peers() -> tuple[list[Peer], dict[str, str]]:
    """The peers that can run here, and why the others cannot."""
    ready: list[Peer] = []
    absent: dict[str, str] = {}
    for module, name in PEERS:
        try:
            ready.append(getattr(import_module(module), name)())
        except ImportError as error:
            absent[name] = f"not installed: {error}"
    return ready, absent


__all__ = ["PEERS", "Peer", "load_peers"]
