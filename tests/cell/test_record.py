"""A record checks itself at construction and cannot be changed afterwards."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from fadecast.cell.columns import COLUMNS, REQUIRED
from fadecast.cell.design import DESIGN_FIELDS, encode_design
from fadecast.cell.record import CellMetadata, CellRecord, PublishedLife
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import CheckError, DataError, FadecastError
from tests.sources.cells import columns, record, spec

META = CellMetadata(spec(), "made-up")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"cell_id": ""}, "plain name"),
        ({"cell_id": "../up"}, "plain name"),
        ({"cell_id": "a b"}, "plain name"),
        ({"cell_id": "x" * 129}, "plain name"),
        ({"nominal_capacity_ah": 0.0}, "ampere-hours, not mAh"),
        ({"nominal_capacity_ah": float("nan")}, "finite"),
        ({"nominal_capacity_ah": "2"}, "finite"),
        ({"nominal_capacity_ah": None}, "finite"),
        ({"voltage_min_v": 4.3}, "voltage_min_v < voltage_max_v"),
        ({"voltage_max_v": 4200.0}, "volts"),
        ({"cathode": "NMC"}, "nmc"),
        ({"applied_pressure_pa": -1.0}, "pascal"),
        ({"pressure_limit_pa": 0.0}, "pascal"),
        ({"pressure_limit_pa": 30.0}, "pressure_limit_pa is 30.0"),
        ({"pressure_limit_pa": 1e6, "applied_pressure_pa": 2e6}, "but 1000000.0"),
        ({"pressure_limit_pa": float("nan")}, "pascal"),
    ],
)
def test_a_wrong_design_says_what_to_give(changes: dict[str, object], word: str) -> None:
    with pytest.raises(CheckError) as caught:
        dataclasses.replace(spec(), **changes)
    assert word in str(caught.value)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_column_is_named(name: str) -> None:
    with pytest.raises(CheckError, match=name):
        record(**{name: None})


@pytest.mark.parametrize("name", [n for n in columns() if n not in REQUIRED])
def test_an_optional_column_may_be_missing(name: str) -> None:
    assert record(**{name: None}).samples is not None


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(CheckError, match="charge_ah"):
        record(charge_ah=np.zeros(776))


def test_columns_of_different_length() -> None:
    with pytest.raises(CheckError, match="differ in length"):
        record(voltage_volt=np.zeros(3))


def test_samples_or_summaries_but_one_of_them() -> None:
    table = CycleSummaries.from_fields([1], {})
    for changes in ({}, {"samples": columns(), "summaries": table}):
        with pytest.raises(CheckError, match="either"):
            CellRecord(META, **changes)


def test_a_record_cannot_be_changed() -> None:
    one = record()
    assert one.samples is not None
    with pytest.raises(ValueError, match="read-only"):
        one.samples["voltage_volt"][0] = 0
    with pytest.raises(TypeError):
        one.samples["voltage_volt"] = np.zeros(3)  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.metadata = META  # type: ignore[misc]
    assert {str(v.dtype) for v in one.samples.values()} == {"float64", "float32", "int64"}
    assert all(str(v.dtype) == COLUMNS[k].dtype for k, v in one.samples.items())


def test_metadata_survive_json() -> None:
    one = CellMetadata(
        spec(applied_pressure_pa=5e6, pressure_limit_pa=2e7), "x", "train",
        PublishedLife(7, "contact_loss"), "MIT", "doi", {"a": "b"},
    )  # fmt: skip
    assert CellMetadata.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_design_vector_tells_known_from_unknown_pressure() -> None:
    known, unknown = encode_design(spec(applied_pressure_pa=0.0)), encode_design(spec())
    at = DESIGN_FIELDS.index("applied_pressure_known")
    assert (known[at], unknown[at]) == (1, 0)
    assert len(known) == len(DESIGN_FIELDS)


def test_design_vector_tells_how_much_pressure_is_permitted() -> None:
    limited, unknown = encode_design(spec(pressure_limit_pa=2e7)), encode_design(spec())
    names = "pressure_limit_known", "log1p_pressure_limit_mpa", "per_pressure_limit_mpa"
    at = [DESIGN_FIELDS.index(name) for name in names]
    np.testing.assert_allclose(limited[at], [1, np.log(21), 0.05], rtol=1e-6)
    np.testing.assert_array_equal(unknown[at], [0, 0, 0])
    assert (np.delete(limited, at) == np.delete(unknown, at)).all()


def test_an_error_says_what_where_and_how_to_mend_it() -> None:
    error = CheckError("it is broken", where="here", fix="Mend it")
    assert str(error) == "here: it is broken. Mend it"
    assert isinstance(error, DataError)
    assert isinstance(error, FadecastError)
    assert error.findings == ()
