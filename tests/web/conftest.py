from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.sites import Site, open_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of a module."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened
