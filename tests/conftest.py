"""What every test starts with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.store.server import Emptied, Server, running_server


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Let no test log into a stream that a command of an earlier one has closed."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def emptied(server: Server) -> Iterator[Emptied]:
    database = Emptied(server)
    yield database
    database.close()
