"""How an error reaches the user: what is wrong, where, how to mend it; never a traceback."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

from rich.console import Console
from rich.text import Text

from fadecast.errors import FadecastError

EXTRA_OF: Final = {
    **dict.fromkeys(("torch", "lightning", "sklearn", "mlflow", "onnx", "onnxscript"), "learn"),
    **dict.fromkeys(("pydantic", "yaml", "scipy", "pandas"), "learn"),
    "cryptography": "sign",
    **dict.fromkeys(("fastnda", "fastexcel", "polars", "pooch"), "sources"),
    **dict.fromkeys(("numba", "pybamm"), "sim"),
    "ray": "ray",
    "plotly": "report",
}
"""Which extra brings a library that may be missing."""


def as_refusal(error: Exception) -> FadecastError:
    """An error that is no fault of the program, as one of ours; any other is raised again."""
    if isinstance(error, FadecastError):
        return error
    if isinstance(error, OSError):  # no space, no right to write, a folder for a file
        return FadecastError(
            error.strerror or str(error), where=str(error.filename or ""),
            fix="Check the paths, their rights and the space left on the disk",
        )  # fmt: skip
    root = (getattr(error, "name", None) or "").split(".")[0]
    if root not in EXTRA_OF:
        raise error
    what = f"this command needs {root}, which is not installed"
    return FadecastError(what, fix=f"pip install 'fadecast[{EXTRA_OF[root]}]'")


def refuse(error: FadecastError) -> NoReturn:
    """Say on stderr what is wrong, where, and how to mend it; exit with 2."""
    message = Text.assemble(("error: ", "bold red"), (error.what, "red"))
    if error.where:
        message.append(f"\nwhere: {error.where}")
    if error.fix:
        message.append(f"\nfix:   {error.fix}", "bold")
    Console(stderr=True, soft_wrap=True, highlight=False).print(message)
    sys.exit(2)
