"""One self-contained page on what a run of scores shows."""
