"""Score tables: Parquet, written while scoring goes on, visible only once it is done."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fadecast import __version__
from fadecast.errors import ConfigError
from fadecast.forecast.forecast import Forecasts, score_columns
from fadecast.runtime.session import Session


def score_schema(
    fingerprint: str, end_of_life: Mapping[str, Any], sensors: Sequence[str]
) -> pa.Schema:
    """The schema, with columns of the given virtual sensors; in its metadata the units, the bundle
    and what that calls a failure."""
    units = {"cell_id": "name", "cycle_count": "1"} | score_columns(sensors)
    types = {"cell_id": pa.string(), "cycle_count": pa.int64(), "valid": pa.bool_()}
    columns = [
        pa.field(name, types.get(name, pa.float32()), nullable=False, metadata={"unit": unit})
        for name, unit in units.items()
    ]
    return pa.schema(
        columns,
        metadata={
            "fadecast.format": "fadecast-scores",
            "fadecast.version": __version__,
            "fadecast.bundle": fingerprint,
            "fadecast.end_of_life": json.dumps(dict(end_of_life)),
            "fadecast.units": json.dumps(units),
        },
    )


class ScoreWriter:
    """Context manager: on success the file appears at ``out`` at once, otherwise nothing does."""

    def __init__(self, out: Path, session: Session) -> None:
        self._out = out
        self._sensors = session.virtual_sensors
        self._schema = score_schema(
            session.fingerprint, session.manifest["end_of_life"], self._sensors
        )
        self.rows = 0

    def __enter__(self) -> ScoreWriter:
        if self._out.is_dir():
            raise ConfigError("is a folder", where=str(self._out), fix="Give a file for the scores")
        self._out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self._out.name}.", dir=self._out.parent)
        os.close(handle)
        self._partial = Path(name)
        self._writer = pq.ParquetWriter(self._partial, self._schema, compression="zstd")
        return self

    def write(self, cell_ids: Sequence[str], cell: NDArray[np.int64], forecasts: Forecasts) -> None:
        """Append forecasts; ``cell`` ``(n,)`` is the index into ``cell_ids`` of each."""
        if not len(forecasts):
            return
        names = pa.array(cell_ids, pa.string()).take(pa.array(cell))
        arrays = [
            names,
            *(pa.array(column) for column in forecasts.columns(self._sensors).values()),
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.rows += len(forecasts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._writer.close()
            if kind is None:
                self._partial.chmod(0o666 & ~_umask())
                self._partial.replace(self._out)
        finally:
            self._partial.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
