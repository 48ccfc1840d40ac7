"""What every test starts with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Let no test log into a stream that a command of an earlier one has closed."""
    yield
    structlog.reset_defaults()
