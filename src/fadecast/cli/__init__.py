"""The command line: ``fadecast COMMAND``, each a thin call of what stands below."""

from fadecast.cli.commands import app, main

__all__ = ["app", "main"]
