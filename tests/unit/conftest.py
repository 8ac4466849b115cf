"""Lets the unit tests share their modules that are no tests, whichever way pytest imports them; and servers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this run's own."""
    from postgres_server import PostgresServer, server_programs

    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (initdb and postgres)")
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.close()
