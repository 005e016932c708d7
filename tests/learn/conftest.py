"""The tiny bundle, for the tests of this folder."""

from tests.bundles import bundle, session

__all__ = ["bundle", "session"]
