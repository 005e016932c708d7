"""The tiny bundle, and the C++ program built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import bundle, session
from tests.edge.program import Program, build

__all__ = ["bundle", "program", "session"]


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Program:
    assert pytestconfig.cache is not None
    return build(Path(pytestconfig.cache.mkdir("edge")), "native")
