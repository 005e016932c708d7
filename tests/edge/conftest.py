"""The tiny bundle, and the C++ program built once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.bundles import bundle, session
from tests.edge.program import Program, build

__all__ = ["bundle", "program", "session"]


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Program:
    """Skips where there is no compiler, but for continuous integration, which must have one."""
    missing = [name for name in ("cmake", "c++") if shutil.which(name) is None]
    if missing and os.environ.get("FADECAST_REQUIRE_DATA") != "1":
        pytest.skip(f"not installed: {', '.join(missing)}")
    assert pytestconfig.cache is not None
    return build(Path(pytestconfig.cache.mkdir("edge")), "native")
