"""The command line: ``fadecast COMMAND``, each a thin call of what stands below."""

from fadecast.cli.app import app, main

__all__ = ["app", "main"]
