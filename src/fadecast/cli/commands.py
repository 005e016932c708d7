"""The commands. The libraries that one needs load inside it, not before.

Exit codes: 0 done; 1 stopped or unexpected; 2 refused, with what is wrong, where, and how to mend
it; 3 partly done (some inputs were left out, each with its reason, the others are done).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

import fadecast
from fadecast import PRETRAINED
from fadecast.cli.options import Bundle, Cells, Config, MaybeStore, Out, StoreFolder, Tracking
from fadecast.cli.refusal import as_refusal, refuse
from fadecast.cli.verify import verify
from fadecast.errors import FadecastError

if TYPE_CHECKING:
    from fadecast.learn.config import TrackingConfig

PARTLY_DONE: Final = 3

app = typer.Typer(
    name="fadecast",
    help="Forecasts how battery cells fade and fail: cycles left, and risk by cause, every cycle.",
    epilog="Exit codes: 0 done, 1 unexpected, 2 refused with the reason, 3 partly done.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Published data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit; a deliberate error becomes a message, never a traceback."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        app(args=None if arguments is None else list(arguments))
    except (FadecastError, OSError, ModuleNotFoundError) as error:
        refuse(as_refusal(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fadecast {fadecast.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Recorded files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The store; made if it is not there.")],
    cells: Cells = None,
) -> None:
    """Read recorded files into a store of cells.

    Units and the current's sign are settled, several files of one cell are joined in time order.
    A bad file is quarantined with its reason and the others go on (exit code 3). Run again, it
    reads only what is new.
    """
    from fadecast.cli.show import counted, ingested
    from fadecast.sources.ingest import ingest as read_into

    with counted(_stderr(), "reading") as progress:
        report = read_into(paths, out, cells=cells, progress=progress)
    Console().print(ingested(report))
    if report.exit_code:
        refused = sum(row.status == "quarantined" for row in report.rows)
        _stderr().print(f"{refused} quarantined; reasons also in {out / 'quarantine.json'}")
        raise typer.Exit(PARTLY_DONE)


@app.command()
def simulate(
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML of the population.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The population: a store of cells, and the truth.")
    ],
    engine: Annotated[
        str | None,
        typer.Option(help="kernel (fast), or pybamm (full order: for a few cells)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a core).")
    ] = None,
) -> None:
    """Simulate a population of solid-state cells, and describe it in a data card.

    What a cycler would log goes into the store; hidden states and lives go into a truth table of
    their own. Run again after a stop, it goes on; the result is the same, byte for byte, whatever
    the number of processes.
    """
    from fadecast.cli.show import counted, outcomes
    from fadecast.cli.simulation import simulate_population

    with counted(_stderr(), "simulating") as progress:
        card, page = simulate_population(config, out, engine, workers, progress)
    Console().print(outcomes(card))
    typer.echo(page)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="Name of the set, such as matr.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")] = Path("data"),
) -> None:
    """Download a published set, every file checked against its recorded checksum."""
    from fadecast.cli.show import counted
    from fadecast.sources.download import get

    with counted(_stderr(), "downloading") as progress:
        folder = get(name, out, progress=progress)
    typer.echo(folder)


@app.command()
def train(
    config: Config,
    store: StoreFolder,
    resume: Annotated[
        str | None, typer.Option(help="Id of a stopped run, to go on after its last epoch.")
    ] = None,
) -> None:
    """Train the forecaster and the baselines, judge them on unseen cells, record it in MLflow."""
    from fadecast.cell.store import Store
    from fadecast.cli.jobs import log_figures
    from fadecast.cli.show import judged
    from fadecast.learn.config import TrainConfig
    from fadecast.learn.train import train as run_job

    settings, console = TrainConfig.from_yaml(config), Console()
    result = run_job(settings, store=Store(store), resume=resume, console=console)
    log_figures(result)
    console.print(judged(result.scorecards, "Judged on the test cells"))
    console.print(
        f"run {result.run.run_id}\n"
        f"export it:   fadecast export {result.run.run_id} -o bundle\n"
        f"compare it:  mlflow ui --backend-store-uri {settings.tracking.uri}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Id of a finished training run.")],
    out: Out,
    store: MaybeStore = None,
    tracking: Tracking = None,
    key: Annotated[
        Path | None, typer.Option(help="Private key (PEM, Ed25519) to sign the bundle with.")
    ] = None,
) -> None:
    """Export a run as a bundle and register it.

    Refused unless onnxruntime gives what torch gives, to 1e-5, over the whole lives of all cells
    that the run has not seen.
    """
    from fadecast.cli.jobs import export_run

    version = export_run(run, out, store, _tracking(tracking), key)
    typer.echo(f"{out}: registered as version {version}")


app.command()(verify)


@app.command()
def stream(
    file: Annotated[Path, typer.Argument(help="A recorded file, or a store.")],
    bundle: Bundle = PRETRAINED,
    cells: Cells = None,
    cell: Annotated[str | None, typer.Option(help="Which cell, where there are several.")] = None,
    as_json: Annotated[
        bool | None,
        typer.Option("--json/--table", help="JSON lines, or a live table (default: by terminal)."),
    ] = None,
) -> None:
    """Replay a recorded cell as if live: a forecast after every cycle.

    Cycles left and horizons are in cycles, risks are probabilities, soh is discharge capacity over
    nominal capacity, novelty above 1 is farther from the training cycles than 99 % of them. JSON
    lines also have the virtual sensors (fractions) that the bundle was taught, each with its _std.
    """
    from fadecast.cli.jobs import open_record, replay
    from fadecast.cli.show import forecast_lines, forecast_table
    from fadecast.runtime import Session

    record = open_record(file, cells, cell)
    session = Session.load(bundle)
    live, name = session.stream(record.spec), record.spec.cell_id
    forecasts = replay(live, record)
    if not sys.stdout.isatty() if as_json is None else as_json:
        shown = forecast_lines(name, forecasts, session.virtual_sensors)
    else:
        shown = forecast_table(name, forecasts, Console())
    count = sum(len(forecast) for forecast in shown)
    _stderr().print(f"{name}: {count} cycles, {live.dropped} unusable samples dropped")


@app.command()
def score(
    source: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="A store; or Parquet files (or folders of them) of samples with cell_id and "
            "Battery Data Format columns, or of cycle summaries.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The score table (Parquet).")],
    bundle: Bundle = PRETRAINED,
    cells: Cells = None,
) -> None:
    """Forecast every cycle of many cells: one row per cell and cycle in one Parquet file.

    Needs no torch. A cell or file that cannot be scored is named with its reason, the others go on
    (exit code 3).
    """
    from fadecast.cli.show import counted
    from fadecast.scoring.local import score as score_cells

    with counted(_stderr(), "scoring") as progress:
        report = score_cells(
            source, cells, bundle, out, progress=lambda done, total: progress(done, total, "")
        )
    typer.echo(
        f"{out}: {report.cells} cells, {report.cycles} cycles, {report.rows} rows read, "
        f"{report.dropped} unusable, {report.seconds:.1f} s"
    )
    if report.ignored:
        _stderr().print(f"columns that were not used: {', '.join(report.ignored)}")
    for name, reason in report.problems.items():
        _stderr().print(Text.assemble((f"{name}: ", "bold"), reason))
    if not report.ok:
        raise typer.Exit(PARTLY_DONE)


@app.command()
def evaluate(
    scores: Annotated[Path, typer.Argument(help="Score table of `fadecast score`.")],
    store: StoreFolder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the whole scorecard (JSON).")
    ] = None,
) -> None:
    """Judge scores by what became of the cells; lives, and truth where they were simulated, come
    from the store."""
    from fadecast.cell.store import Store, write_json
    from fadecast.cli.show import judged
    from fadecast.forecast.evaluate import evaluate as judge
    from fadecast.learn.truth import read_truth
    from fadecast.report.report import find_lives
    from fadecast.report.scores import read_scores

    table = read_scores(scores)
    lives = find_lives(Store(store), list(table.forecasts), table.end_of_life)
    truth = read_truth(store, {name: f.cycle_count for name, f in table.forecasts.items()})
    card = judge(table.forecasts, lives, truth=truth)
    Console().print(judged({scores.stem: card}, "Judged on all scored cells"))
    if not any(cell.cause for cell in card.cells):
        typer.echo("no scored cell was seen to fail, so nothing is known of the errors of a life")
    if out is not None:
        write_json(out, card.to_json())


@app.command()
def report(
    scores: Annotated[Path, typer.Argument(help="Score table of `fadecast score`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page (HTML).")],
    store: Annotated[
        Path | None,
        typer.Option("--store", "-s", help="Store of these cells: shows how right scores were."),
    ] = None,
) -> None:
    """Write one self-contained page: fade, forecasts, risk by cause, calibration, worst cells."""
    from fadecast.report.report import write_report

    typer.echo(write_report(scores, out, store=store))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for results.")] = Path("demo"),
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Recorded cells instead of simulated ones.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="With --recorded: folder of recorded sets (default: FADECAST_DATA, "
            "../shared/data, or download)."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML of the training job (default: the demo's own)."),
    ] = None,
) -> None:
    """Run the whole line: cells to a bundle, streamed, scored, reported.

    The cells are a small population of simulated solid-state cells, which needs no data, or
    recorded ones.
    """
    from fadecast.cli.demo import Recorded, Simulated, run_demo

    if data is not None and not recorded:
        raise FadecastError("--data is for recorded cells", fix="Add --recorded")
    run_demo(out, Recorded(data) if recorded else Simulated(), config, Console())


def _tracking(uri: str | None) -> TrackingConfig:
    from fadecast.learn.config import TrackingConfig

    return TrackingConfig() if uri is None else TrackingConfig(uri=uri)


def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)
