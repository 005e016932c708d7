"""Reading a score table: what comes back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fadecast.cell.life import EndOfLife
from fadecast.errors import CheckError, ReadError
from fadecast.forecast.forecast import VIRTUAL_SENSORS
from fadecast.report.scores import read_scores
from tests.forecast.fleet import make_fleet
from tests.report.made_up import BUNDLE, score_table, write_scores

FLEET = make_fleet(5, seed=1, every=9)
TABLE = score_table(FLEET)


def written(table: pa.Table, folder: Path) -> Path:
    pq.write_table(table, folder / "scores.parquet")
    return folder / "scores.parquet"


def with_value(column: str, row: int, value: object) -> pa.Table:
    values = TABLE.column(column).to_pylist()
    values[row] = value
    position = TABLE.column_names.index(column)
    return TABLE.set_column(position, column, pa.array(values, TABLE.column(column).type))


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    scores = read_scores(write_scores(FLEET, tmp_path / "scores.parquet"))
    assert scores.bundle == BUNDLE
    assert scores.end_of_life == EndOfLife()
    assert list(scores.forecasts) == sorted(FLEET.forecasts)
    for name, forecast in FLEET.forecasts.items():
        for column, values in forecast.columns().items():
            np.testing.assert_array_equal(scores.forecasts[name].columns()[column], values)


def test_virtual_sensors_are_read_where_there_are_any(tmp_path: Path) -> None:
    rows = np.linspace(0, 1, TABLE.num_rows, dtype=np.float32)
    table = TABLE.append_column("virtual_penetration", pa.array(rows))
    table = table.append_column("virtual_penetration_std", pa.array(rows + 1))
    forecasts = read_scores(written(table, tmp_path)).forecasts.values()
    sensed, spread = (np.concatenate([getattr(f, n) for f in forecasts])
                      for n in ("virtual", "virtual_spread"))  # fmt: skip
    assert np.isnan(sensed).all(0).tolist() == [name != "penetration" for name in VIRTUAL_SENSORS]
    np.testing.assert_array_equal(sensed[:, -1], rows)
    np.testing.assert_array_equal(spread[:, -1], rows + 1)


def test_order_of_rows_and_type_of_text_do_not_matter(tmp_path: Path) -> None:
    shuffled = TABLE.take(np.random.default_rng(0).permutation(TABLE.num_rows))
    names = pc.dictionary_encode(shuffled.column("cell_id"))
    other = read_scores(written(shuffled.set_column(0, "cell_id", names), tmp_path))
    for name, forecast in FLEET.forecasts.items():
        np.testing.assert_array_equal(other.forecasts[name].rul, forecast.rul)
        np.testing.assert_array_equal(other.forecasts[name].risk, forecast.risk)


def test_the_stated_end_of_life_is_read(tmp_path: Path) -> None:
    stated = b'{"fraction": 0.7, "reference": "early", "consecutive": 2}'
    table = TABLE.replace_schema_metadata({b"fadecast.end_of_life": stated})
    scores = read_scores(written(table, tmp_path))
    assert asdict(scores.end_of_life) == {"fraction": 0.7, "reference": "early", "consecutive": 2}
    assert scores.bundle == ""
    broken = TABLE.replace_schema_metadata({b"fadecast.end_of_life": b'{"fraction": "a lot"}'})
    with pytest.raises(CheckError, match="stated end of life"):
        read_scores(written(broken, tmp_path))


def test_a_forecast_that_is_not_valid_may_be_empty(tmp_path: Path) -> None:
    table = with_value("valid", 3, False)
    empty = pa.array([None if i == 3 else v for i, v in enumerate(TABLE["rul_p50"].to_pylist())])
    table = table.set_column(table.column_names.index("rul_p50"), "rul_p50", empty)
    forecast = next(iter(read_scores(written(table, tmp_path)).forecasts.values()))
    assert not forecast.valid[3]
    assert forecast.valid[4]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: TABLE.drop_columns(["rul_p50"]), "no column rul_p50"),
        (lambda: TABLE.select(["cell_id"]), "no column cycle_count, rul_p05.*and 2. more"),
        (lambda: TABLE.slice(0, 0), "has no row"),
        (lambda: with_value("rul_p50", 2, float("nan")), "empty or not finite .cell 'cell-001', c"),
        (lambda: with_value("risk_any_50", 2, None), "a valid forecast is empty"),
        (lambda: with_value("risk_any_50", 2, 1.2), "a risk is not between 0 and 1"),
        (lambda: with_value("rul_p05", 2, 4000.0), "out of order"),
        (lambda: with_value("cycle_count", 1, 1), "comes twice .cell 'cell-001', cycle 1"),
        (lambda: with_value("cycle_count", 1, None), "cycle_count has an entry that is empty"),
        (lambda: with_value("cycle_count", 1, -1), "out of range"),
        (lambda: with_value("soh", 1, float("inf")), "infinite"),
        (lambda: with_value("cell_id", 1, None), "cell_id has an empty entry"),
        (lambda: with_value("cell_id", 1, "<b>x</b>"), "not a plain name"),
        (lambda: with_value("valid", 1, None), "valid is empty"),
        (lambda: TABLE.set_column(0, "cell_id", pa.array(range(TABLE.num_rows))), "not text"),
        (
            lambda: TABLE.set_column(
                TABLE.column_names.index("soh"), "soh", pa.array(["a"] * TABLE.num_rows)
            ),
            "soh is string, not a number",
        ),
    ],
)  # fmt: skip
def test_bad_tables_are_refused(
    spoil: Callable[[], pa.Table], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckError, match=message) as caught:
        read_scores(written(spoil(), tmp_path))
    assert "scores.parquet" in str(caught.value) or "plain name" in message


def test_files_that_are_no_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not a readable Parquet file"):
        read_scores(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("cell_id,cycle_count\n")
    with pytest.raises(ReadError, match="fadecast score"):
        read_scores(tmp_path / "text.parquet")
    whole = write_scores(FLEET, tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError):
        read_scores(tmp_path / "cut.parquet")
