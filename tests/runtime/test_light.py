"""A fresh interpreter: what serves loads nothing of what trains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fadecast

HEAVY = {"torch", "sklearn", "mlflow", "lightning", "pandas", "polars", "scipy", "onnx"}


@pytest.mark.parametrize("module", ["fadecast.runtime", "fadecast.scoring.local"])
def test_importing_what_serves_loads_nothing_that_trains(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    source = Path(fadecast.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded & HEAVY


def test_a_bundle_runs_where_nothing_of_training_can_be_imported(bundle: Path) -> None:
    code = f"""
import sys
for name in {sorted(HEAVY | {"pyarrow"})}:
    sys.modules[name] = None  # any import of it now fails
import numpy as np
from fadecast.cell.record import CellSpec
from fadecast.runtime import Session
stream = Session.load({str(bundle)!r}).stream(CellSpec("x", 2.0, 2.5, 4.2))
t = np.arange(400) * 60.0
i = np.where(t % 8000 < 4000, 2.0, -2.0)
forecasts = stream.push(dict(test_time_second=t, voltage_volt=3.5 + 0 * t, current_ampere=i))
assert len(forecasts + stream.close()) == 3, forecasts
"""
    source = Path(fadecast.__file__).parent.parent
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True)
