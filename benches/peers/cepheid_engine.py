"""cepheid itself, asked in two ways: the SQL text with every call, or a pattern that was built before."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

import cepheid as cep
from benches.peers.peer import Peer
from benches.workload import Workload


class CepheidSql(Peer):
    """Parses, plans and matches in every call."""

    name = "cepheid, SQL"
    version = cep.__version__

    def prepare(self, workload: Workload, table: pa.Table) -> pa.Table:
        return table

    def run(self, workload: Workload, prepared: pa.Table) -> Any:
        return cep.sql(workload.sql, t=prepared)


class CepheidBuilt(Peer):
    """Matches a pattern that was built outside the clock."""

    name = "cepheid, built"
    version = cep.__version__

    def prepare(self, workload: Workload, table: pa.Table) -> tuple[Any, pa.Table]:
        return cep.pattern_from_sql(workload.sql), table

    def run(self, workload: Workload, prepared: tuple[Any, pa.Table]) -> Any:
        pattern, table = prepared
        return cep.match(pattern, table)
