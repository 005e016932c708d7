"""Train, judge, export and register: ``python -m training.train --config training/configs/…``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from fadecast.cell.store import Store
from fadecast.cli.jobs import export_run, log_figures
from fadecast.cli.show import judged
from fadecast.errors import FadecastError
from fadecast.learn.config import TrainConfig
from fadecast.learn.train import train


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML of the job")
    parser.add_argument("--store", type=Path, default=Path("store"), help="folder of the cells")
    parser.add_argument("--bundle", type=Path, help="export the network here and register it")
    parser.add_argument("--resume", help="id of a run that was stopped")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        config = TrainConfig.from_yaml(options.config)
        run_id = _trained(config, Store(options.store), options.resume, console)
        console.print(f"run {run_id}")
        if options.bundle:
            version = export_run(run_id, options.bundle, options.store, config.tracking)
            console.print(f"{options.bundle} is version {version} of model {config.tracking.model}")
    except FadecastError as error:
        parser.exit(2, f"error: {error}\n")


def _trained(config: TrainConfig, store: Store, resume: str | None, console: Console) -> str:
    """The run's id; cells and forecasts are let go before an export reads its own."""
    result = train(config, store=store, resume=resume, console=console)
    log_figures(result)
    console.print(judged(result.scorecards, "Judged on the test cells"))
    return result.run.run_id


if __name__ == "__main__":
    main()
