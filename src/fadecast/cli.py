"""The command line. A command is a thin call; the libraries it needs load inside it, not before.

Exit codes: 0 done; 1 stopped or unexpected; 2 refused, with what is wrong, where, and how to mend
it; 3 partly done (some inputs were left out, each with its reason, the others are done).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import fadecast
from fadecast.errors import FadecastError

PARTLY_DONE = 3

app = typer.Typer(
    name="fadecast",
    help="Forecasts how battery cells fade and fail: cycles left, and risk by cause, every cycle.",
    epilog="Exit codes: 0 done, 1 unexpected, 2 refused with the reason, 3 partly done.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Published data sets.", no_args_is_help=True)
app.add_typer(data, name="data")

EXTRA_OF = {
    **dict.fromkeys(("torch", "lightning", "sklearn", "mlflow", "onnx", "onnxscript"), "learn"),
    **dict.fromkeys(("pydantic", "yaml", "scipy", "pandas"), "learn"),
    **dict.fromkeys(("bdf", "NewareNDA", "openpyxl", "polars", "pooch"), "sources"),
    **dict.fromkeys(("numba", "pybamm"), "sim"),
    "ray": "ray",
    "plotly": "report",
}
"""Which extra brings a library that may be missing."""

StoreArgument = Annotated[Path, typer.Option("--store", "-s", help="Folder of ingested cells.")]
BundleOption = Annotated[Path, typer.Option("--bundle", "-b", help="Folder of an exported bundle.")]
CellsOption = Annotated[
    Path | None,
    typer.Option(
        help="Table (CSV or Parquet) of cell designs: cell_id, nominal_capacity_ah (Ah), "
        "voltage_min_v and voltage_max_v (V); optional: cathode, anode, electrolyte, fixture, "
        "applied_pressure_pa (Pa)."
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit; a deliberate error becomes a message, never a traceback."""
    try:
        app(args=None if arguments is None else list(arguments))
    except FadecastError as error:
        refuse(error)
    except ModuleNotFoundError as error:
        root = (error.name or "").split(".")[0]
        if root not in EXTRA_OF:
            raise
        refuse(
            FadecastError(
                f"this command needs {root}, which is not installed",
                fix=f"Install it with: pip install 'fadecast[{EXTRA_OF[root]}]'",
            )
        )


def refuse(error: FadecastError) -> None:
    """Say on stderr what is wrong, where, and how to mend it; exit with 2."""
    message = Text.assemble(("error: ", "bold red"), (error.what, "red"))
    if error.where:
        message.append(f"\nwhere: {error.where}")
    if error.fix:
        message.append(f"\nfix:   {error.fix}", "bold")
    Console(stderr=True, soft_wrap=True).print(message)
    sys.exit(2)


def version(wanted: bool) -> None:
    """Print the version and leave, if it was asked for."""
    if wanted:
        typer.echo(f"fadecast {fadecast.__version__}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Set up what every command shares."""
