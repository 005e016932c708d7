"""The table of constants, and what happens to impossible ones."""

import re
from pathlib import Path

import numpy as np
import pytest

from fadecast.errors import ConfigError
from fadecast.physics.design import N_COORDINATES, Kind, central, design, vary
from fadecast.physics.parameters import (
    ANODES,
    CELL,
    FIXTURES,
    PARAMETERS,
    TABLE,
    TIERS,
    check_cells,
)

KINDS = [Kind(a, t, f) for a in ANODES for t in TIERS for f in FIXTURES]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "physics.md"


def test_every_constant_has_a_unit_a_source_and_a_tag():
    for p in TABLE:
        assert p.unit, p.name
        assert p.source, p.name
        assert p.tag in set("FXSMP"), p.name


def test_names_are_unique():
    assert len(PARAMETERS) == len(TABLE)


def test_every_prior_lies_within_the_limits():
    for p in TABLE:
        for kind in KINDS:
            low, high = p.prior(kind.anode, kind.tier, kind.fixture)
            assert p.limits[0] <= low <= high <= p.limits[1], (p.name, kind)


def test_variants_name_things_that_exist():
    known = {*ANODES, *TIERS, *FIXTURES, *(f"{a}.{t}" for a in ANODES for t in TIERS)}
    for p in TABLE:
        assert set(p.variants) <= known, p.name


def test_every_equation_cited_is_in_the_documentation():
    text = PAGE.read_text(encoding="utf-8")
    sources = [p.equation for p in TABLE if p.equation != "design"]
    for path in (PAGE.parents[1] / "src" / "fadecast" / "physics").glob("*.py"):
        sources += re.findall(r"[Ee]quations? (\d\.\d+)", path.read_text(encoding="utf-8"))
    missing = sorted({e for e in sources if f"**{e}**" not in text})
    assert not missing


def test_the_most_specific_prior_wins():
    ccd = PARAMETERS["critical_current"]
    assert ccd.prior("lithium", "engineered", "spring") == (6, 6)
    assert ccd.prior("silicon", "engineered", "spring") == (100, 100)
    assert ccd.prior("lithium", "lab", "spring") == (1.5, 1.5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_designs_and_cells_are_possible(kind):
    rng = np.random.default_rng(1)
    rows = [vary(design(kind, rng.random(N_COORDINATES)), kind, rng.normal(size=N_COORDINATES))]
    rows.append(central(kind))
    check_cells(np.array(rows))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cathode_thickness", -1.0, "cathode_thickness"),
        ("diffusivity", 0.0, "diffusivity"),
        ("conductivity", np.nan, "conductivity"),
        ("set_pressure", -2.0, "set_pressure"),
        ("voltage_min", 4.0, "not below"),
        ("electrolyte_fraction", 0.7, "whole volume"),
        ("rated", 0.0, "rated"),
    ],
)
def test_impossible_values_are_refused(name, value, words):
    cell = central(Kind())
    cell[name] = value
    if name == "voltage_min":
        cell["voltage_max"] = 3.9
    with pytest.raises(ConfigError, match=words):
        check_cells(np.array([cell]))


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="unknown"):
        central(Kind(), thickness=3.0)
    with pytest.raises(ConfigError, match="graphite"):
        Kind(anode="graphite")


def test_the_cell_table_is_the_constants_then_the_rated_capacity():
    assert CELL.names == (*PARAMETERS, "rated")


def test_what_a_fixture_exerts_scatters_by_its_kind():
    normals, pressure = np.ones(N_COORDINATES), PARAMETERS["set_pressure"]
    for fixture, spread in (("spring", 0.10), ("fixed_gap", 0.20), ("constant_force", 0.03)):
        kind = Kind(fixture=fixture)
        cell = central(kind, set_pressure=5.0)
        exerted = float(vary(cell, kind, normals)["set_pressure"])
        assert exerted == pytest.approx(5.0 * np.exp(spread))
        assert pressure.scatter.get(fixture, pressure.spread) == spread
