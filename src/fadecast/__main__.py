"""``python -m fadecast`` is the command line."""

from fadecast.cli import main

main()
