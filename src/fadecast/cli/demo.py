"""``fadecast demo``: the whole line, stage by stage, with the time each took."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console
from rich.panel import Panel

from fadecast.cell.store import Store
from fadecast.cli.jobs import export_run, replay
from fadecast.cli.show import counted, forecast_table, judged, outcomes
from fadecast.errors import ConfigError

if TYPE_CHECKING:
    from fadecast.cell.record import CellRecord
    from fadecast.forecast.forecast import Forecasts
    from fadecast.forecast.scorecard import Scorecard
    from fadecast.learn.config import TrainConfig
    from fadecast.learn.dataset import CellSequence
    from fadecast.learn.train import TrainResult

SETS: Final = ("matr", "hust", "xjtu", "samsung30q_strain", "lpscl_tohoku")
"""Folders of the recorded sets that the demo reads, those that are there."""

NEARBY: Final = Path("../shared/data")

TRAINING: Final = Path("training")
"""Where a checkout keeps the configurations of its jobs."""


class Simulated:
    """Cells of the simulator: a small population, made anew."""

    title = "simulate: cell designs → a store of cells"
    job = TRAINING / "configs" / "demo.yaml"

    def gather(self, out: Path, console: Console) -> Store:
        """The population, and its data card beside it."""
        from fadecast.cli.simulation import simulate_population

        place = out / "population"
        with counted(console, "simulating") as progress:
            card, page = simulate_population(
                TRAINING / "populations" / "demo.yaml", place, None, None, progress
            )
        console.print(outcomes(card))
        console.print(f"  the data card: {page}", highlight=False)
        return Store(place)


@dataclass(frozen=True)
class Recorded:
    """Recorded cells of the sets in ``data``, or of those at hand, or downloaded."""

    data: Path | None
    title = "ingest: recorded files → a store of cells"
    job = TRAINING / "configs" / "demo-recorded.yaml"

    def gather(self, out: Path, console: Console) -> Store:
        """The cells of all sets that are there."""
        from fadecast.sources.ingest import ingest

        sets = _find_sets(self.data, out, console)
        with counted(console, "reading") as progress:
            read = ingest(sets, out / "store", progress=progress)
        refused = [row for row in read.rows if row.status == "quarantined"]
        for row in refused:
            console.print(f"  quarantined {row.file}: {row.findings[0]}", highlight=False)
        store = Store(out / "store")
        console.print(f"  {len(store)} cells of {', '.join(s.name for s in sets)}")
        return store


def run_demo(
    out: Path, source: Simulated | Recorded, config: Path | None, console: Console
) -> None:
    """Run every station into the folder ``out`` and say what was measured.

    Raises:
        FadecastError: a station refused; what the ones before it made stays in ``out``.
    """
    from fadecast.learn.config import TrainConfig
    from fadecast.learn.tracking import Run, client
    from fadecast.learn.train import train
    from fadecast.report.report import write_report
    from fadecast.report.scores import read_scores
    from fadecast.runtime import Session
    from fadecast.scoring.local import score

    settings, began = TrainConfig.from_yaml(config or source.job), time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    bundle, unseen = out / "bundle", out / "unseen"
    scores, page = out / "scores.parquet", out / "report.html"
    with _stage(console, 1, source.title):
        store = source.gather(out, console)
    with _stage(console, 2, "train: baselines and the network"):
        result = train(_fitting(settings, store), store=store, console=console)
    with _stage(console, 3, "evaluate: cells that trained nothing"):
        console.print(judged(result.scorecards, ""))
    with _stage(console, 4, "export: two ONNX graphs, proven equal on those cells"):
        version = export_run(result.run.run_id, bundle, store.path, settings.tracking)
        session = Session.load(bundle)
    with _stage(console, 5, "stream: one of those cells, as if it were live"):
        record = _most_telling(store, result.test)
        stream = session.stream(record.spec)
        streamed = list(forecast_table(record.spec.cell_id, replay(stream, record), console))
    with _stage(console, 6, "score: all of those cells at once"):
        _unseen(store, unseen, result.test)
        with counted(console, "scoring") as progress:
            scored = score(
                unseen, None, session, scores,
                progress=lambda done, total: progress(done, total, ""),
            )  # fmt: skip
        batch = read_scores(scores).forecasts[record.spec.cell_id]
    with _stage(console, 7, "report: one page"):
        kind = type(source).__name__.lower()
        write_report(scores, page, store=unseen, title=f"Fadecast on {kind} cells")
        Run(client(settings.tracking), result.run.run_id).folder(page, "report")
    facts = [
        *_accuracy(result),
        f"stream and batch differ by {_difference(streamed, batch):.1g} at most "
        f"({record.spec.cell_id}, {len(streamed)} cycles)",
        f"{scored.cells} unseen cells, {scored.cycles} cycles scored in {scored.seconds:.1f} s",
        f"the whole line took {time.perf_counter() - began:.0f} s",
        "",
        f"bundle   {bundle} (registered as version {version})",
        f"scores   {scores}",
        f"report   {page}",
        f"runs     mlflow ui --backend-store-uri {settings.tracking.uri}",
    ]
    console.print(Panel("\n".join(facts), title="What was measured", title_align="left"))


@contextmanager
def _stage(console: Console, number: int, title: str) -> Iterator[None]:
    console.print(f"\n[bold]{number}/7 {title}[/bold]", highlight=False)
    began = time.perf_counter()
    yield
    console.print(f"  {time.perf_counter() - began:.1f} s", style="dim", highlight=False)


def _find_sets(data: Path | None, out: Path, console: Console) -> list[Path]:
    """The recorded sets at hand, downloaded if there are none.

    Raises:
        ConfigError: a folder was named and none of the sets is in it.
    """
    named = data or (Path(os.environ["FADECAST_DATA"]) if os.getenv("FADECAST_DATA") else None)
    folder = named or NEARBY
    found = [folder / name for name in SETS if (folder / name).is_dir()]
    if found:
        return found
    if named:
        raise ConfigError(
            "no recorded set in it", where=str(named),
            fix=f"It should hold at least one folder of {', '.join(SETS)}",
        )  # fmt: skip
    from fadecast.sources.download import get

    with counted(console, "downloading MATR (94 MB)") as progress:
        return [get("matr", out / "data", progress=progress)]


def _fitting(settings: TrainConfig, store: Store) -> TrainConfig:
    """The job without the sets and cells that are not at hand (only one may be downloadable)."""
    from fadecast.learn.config import TrainConfig

    cells = set(store.cell_ids())
    sources = {store.metadata(cell).source for cell in cells}
    plain = settings.to_json()
    wanted, split = plain["data"]["sources"], plain["data"]["split"]
    if wanted is not None:
        plain["data"]["sources"] = [source for source in wanted if source in sources]
    for part in ("held_out", "excluded"):
        split[part] = [cell for cell in split[part] if cell in cells]
    return TrainConfig.from_mapping(plain)


def _most_telling(store: Store, test: Sequence[CellSequence]) -> CellRecord:
    """Of the unseen cells the longest with raw samples, or the longest if none has any."""
    records = [store.read(cell.cell_id) for cell in sorted(test, key=lambda c: -len(c.summaries))]
    return next((record for record in records if record.samples is not None), records[0])


def _unseen(store: Store, place: Path, test: Sequence[CellSequence]) -> None:
    """A store of the test cells alone, so that nothing seen in training is scored."""
    if (place / "store.json").exists():
        shutil.rmtree(place)
    unseen = Store(place, create=True)
    for cell in test:
        unseen.write(store.read(cell.cell_id))


def _accuracy(result: TrainResult) -> Iterator[str]:
    """The network beside the baselines that answered for the same cells at the same cycles.

    A baseline that speaks once a life is asked another question and is left out here. A few masked
    cycles, below 1 %, may be valid for one model and not for the other.
    """
    from fadecast.learn.train import NETWORK

    key, network = "any_cycle.rel_error", result.scorecards[NETWORK]
    asked, cells = _forecasts(network), [cell.cell_id for cell in network.cells]
    errors = {
        name: card.figures[key]
        for name, card in result.scorecards.items()
        if key in card.figures
        and [cell.cell_id for cell in card.cells] == cells
        and abs(_forecasts(card) / asked - 1) < 0.01
    }
    yield f"error of the cycles left over the life, any cycle of {len(cells)} unseen cells:"
    yield from (f"  {e:6.1%}  {n}" for n, e in sorted(errors.items(), key=lambda item: item[1]))


def _forecasts(card: Scorecard) -> int:
    return sum(cell.forecasts for cell in card.cells)


def _difference(streamed: Sequence[Forecasts], batch: Forecasts) -> float:
    """Largest difference of the quantiles, relative to the larger of 1 and the value."""
    rul = np.concatenate([forecast.rul for forecast in streamed])
    return float(np.max(np.abs(rul - batch.rul) / np.maximum(np.abs(batch.rul), 1.0)))
