"""Judge a trained run again on its test cells: ``python -m training.evaluate RUN``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from fadecast.cell.store import Store
from fadecast.cli.show import judged
from fadecast.errors import FadecastError
from fadecast.forecast.evaluate import evaluate
from fadecast.learn.config import TrackingConfig, TrainConfig
from fadecast.learn.predict import forecast_cells, known_truth
from fadecast.learn.run import held_out_cells, load_run
from fadecast.learn.train import NETWORK


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("run", help="id of a run that finished")
    parser.add_argument("--config", type=Path, help="YAML that names the tracking store")
    parser.add_argument("--store", type=Path, help="folder of the cells (default: as trained)")
    parser.add_argument("--json", type=Path, help="write the scorecard here")
    options = parser.parse_args(arguments)
    try:
        tracking = TrackingConfig()
        if options.config:
            tracking = TrainConfig.from_yaml(options.config).tracking
        forecaster, info = load_run(options.run, tracking)
        cells = held_out_cells(info, Store(options.store or info.store))
        card = evaluate(
            forecast_cells(forecaster, cells), {head.cell_id: head.life for head in cells.heads},
            truth=known_truth(forecaster, cells),
        )  # fmt: skip
        Console().print(judged({NETWORK: card}, f"Run {options.run}"))
        if options.json:
            options.json.write_text(json.dumps(card.to_json(), indent=1), encoding="utf-8")
    except FadecastError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
