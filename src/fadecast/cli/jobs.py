"""Jobs that join several layers, for the commands and for the demo alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fadecast.cell.cellsfile import read_specs
from fadecast.cell.checks import check_strict
from fadecast.cell.record import CellRecord
from fadecast.cell.store import Store
from fadecast.errors import ConfigError
from fadecast.forecast.forecast import Forecasts

if TYPE_CHECKING:
    from fadecast.learn.config import TrackingConfig
    from fadecast.learn.train import TrainResult
    from fadecast.runtime.stream import Stream

CHUNK: Final = 512
"""Samples handed to a stream at once; the forecasts do not depend on it."""


def open_record(path: Path, cells: Path | None, cell_id: str | None) -> CellRecord:
    """The one cell that is wanted of a store or of a recorded file.

    Raises:
        ConfigError: there are several cells and none was named, or the named one is not there.
        DataError: the store or the file cannot be read, or ``ingest`` would quarantine the cell.
    """
    if (path / "store.json").exists():
        store = Store(path)
        return store.read(_choose(store.cell_ids(), cell_id, path))
    from fadecast.sources.readers import read

    records = {r.spec.cell_id: r for r in read(path, read_specs(cells) if cells else {})}
    record = records[_choose(list(records), cell_id, path)]
    check_strict(record)  # a store holds only what passed when it was ingested
    return record


def _choose(names: list[str], wanted: str | None, path: Path) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in names:
        some = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
        what = f"it holds {len(names)} cells" if wanted is None else f"no cell {wanted!r} in it"
        raise ConfigError(what, where=str(path), fix=f"Give --cell, one of: {some or 'none'}")
    return wanted


def replay(stream: Stream, record: CellRecord) -> Iterator[Forecasts]:
    """The forecast after every cycle as if the cell were live, each with one row.

    Samples go in chunk by chunk; a record published as summaries goes in cycle by cycle.
    """
    if record.samples is None:
        assert record.summaries is not None
        for row in range(len(record.summaries)):
            yield stream.push_summary(record.summaries[row : row + 1])
        return
    for start in range(0, len(record.samples["test_time_second"]), CHUNK):
        chunk = slice(start, start + CHUNK)
        yield from stream.push({name: values[chunk] for name, values in record.samples.items()})
    yield from stream.close()


def log_figures(result: TrainResult) -> None:
    """Draw how the network did on the test cells, one self-contained page, into the tracked run."""
    from fadecast.learn.train import NETWORK
    from fadecast.report import figures

    forecasts, lives = result.forecasts, {head.cell_id: head.life for head in result.test.heads}
    drawn = {
        "Predicted life": figures.predicted_life(forecasts, lives),
        "Calibration of the risks": figures.calibration(forecasts, lives),
        "Worst cells": figures.worst_cells(result.scorecards[NETWORK].worst(20)),
    }
    parts = [
        f"<h2>{title}</h2>" + figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, (title, figure) in enumerate(drawn.items())
    ]
    page = '<!doctype html><meta charset="utf-8"><title>Test cells</title>' + "\n".join(parts)
    result.run.text(page, "figures.html")


def export_run(
    run_id: str, out: Path, store: Path | None, tracking: TrackingConfig, key: Path | None = None
) -> str:
    """Export a run, proven on its held-out cells, and register it; the registered version.

    Raises:
        TrainingError: there is no such trained run, or the store is another one.
        ParityError: onnxruntime and torch disagree.
    """
    from fadecast.export.bundle import export_bundle
    from fadecast.learn.registry import register
    from fadecast.learn.run import held_out_cells, load_run, sources_of
    from fadecast.learn.tracking import Run, client
    from fadecast.network.summary import Summary

    forecaster, info = load_run(run_id, tracking)
    cells = Store(store or info.store)
    held_out = held_out_cells(info, cells)
    records = [record for cell in held_out if (record := cells.read(cell.cell_id)).samples]
    training = info.to_json() | {"sources": sources_of(info, cells)}
    export_bundle(
        Summary(), forecaster, out, training=training,
        end_of_life=info.config.data.end_of_life, held_out=held_out, records=records, key=key,
    )  # fmt: skip
    return register(Run(client(tracking), run_id), out, tracking.model)
