"""From capacities to a life: hand-computed cases of every branch of the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.life import CAUSES, EndOfLife, Life, find_life
from fadecast.cell.record import CellMetadata, PublishedLife
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import CheckError, ConfigError
from tests.sources.cells import spec

META = CellMetadata(spec(), "made-up")
NAN = float("nan")


def table(capacity: list[float], first: int = 1) -> CycleSummaries:
    cycles = first + np.arange(len(capacity))
    return CycleSummaries.from_fields(cycles, {"discharge_throughput": capacity})


@pytest.mark.parametrize(
    ("capacity", "definition", "expected"),
    [
        # three in a row below 0.8 of nominal; life is the third
        ([1, 0.9, 0.79, 0.79, 0.79, 0.5], EndOfLife(), Life(4, 5, "capacity_fade")),
        # a dip of two cycles is no end
        ([1, 0.5, 0.5, 0.9, 0.85], EndOfLife(), Life(5, math.inf, None)),
        # one below is enough if the definition says so
        ([1, 0.9, 0.79], EndOfLife(consecutive=1), Life(2, 3, "capacity_fade")),
        # exactly at the threshold is alive
        ([1, 0.8, 0.8, 0.8], EndOfLife(), Life(4, math.inf, None)),
        # cycles whose discharge was not seen are passed over: they neither break nor make a run,
        # and what happened in them is not known
        ([1, 0.7, NAN, 0.7, NAN, 0.7], EndOfLife(), Life(4, 6, "capacity_fade")),
        # relative to the best of the first five observed
        ([0.5, 0.6, 0.55, 0.5, 0.47], EndOfLife(reference="early", consecutive=1),
         Life(4, 5, "capacity_fade")),
        # never observed: alive until the last cycle
        ([NAN, NAN], EndOfLife(), Life(2, math.inf, None)),
    ],
)  # fmt: skip
def test_life(capacity: list[float], definition: EndOfLife, expected: Life) -> None:
    assert find_life(table(capacity), META, definition) == expected


def test_between_two_checkups_the_cycle_of_failure_is_not_known() -> None:
    cycles = np.array([10, 20, 30, 40])
    seen = CycleSummaries.from_fields(cycles, {"discharge_throughput": [1, 0.7, 0.7, 0.7]})
    assert find_life(seen, META, EndOfLife()) == Life(30, 40, "capacity_fade")
    dead = EndOfLife(fraction=0.99, reference="nominal", consecutive=1)
    assert find_life(seen[1:], META, dead) == Life(0, 20, "capacity_fade")


def test_a_published_life_wins() -> None:
    meta = CellMetadata(spec(), "made-up", published_life=PublishedLife(500, "contact_loss"))
    life = find_life(table([1.0, 0.99]), meta, EndOfLife())
    assert (life.after, life.until, life.cause, life.failed) == (499, 500, "contact_loss", True)


def test_a_published_life_may_be_censored_or_lie_between_checkups() -> None:
    def found(life: PublishedLife) -> tuple[float, float, str | None]:
        meta = CellMetadata(spec(), "made-up", published_life=life)
        out = find_life(table([0.1, 0.1, 0.1, 0.1]), meta, EndOfLife())
        return out.after, out.until, out.cause

    assert found(PublishedLife(70, None)) == (70, float("inf"), None)
    assert found(PublishedLife(70, "contact_loss", after=50)) == (50, 70, "contact_loss")


def test_no_cycles() -> None:
    with pytest.raises(CheckError, match="no cycles"):
        find_life(table([]), META, EndOfLife())


@given(st.lists(st.floats(0.0, 1.2), min_size=1, max_size=60), st.integers(1, 5))
def test_more_cycles_never_change_a_life_that_has_ended(capacity: list[float], run: int) -> None:
    definition = EndOfLife(consecutive=run)
    whole = find_life(table(capacity), META, definition)
    for cut in range(1, len(capacity)):
        part = find_life(table(capacity[:cut]), META, definition)
        if part.failed:
            assert part == whole
        else:
            assert part.after == cut
            assert whole.after >= part.after or whole.failed


@pytest.mark.parametrize(
    "arguments",
    [(5, 5, "capacity_fade"), (-1, 5, "capacity_fade"), (3, 5, None), (3, math.inf, CAUSES[0]),
     (3, 5, "boredom")],
)  # fmt: skip
def test_an_impossible_life_is_refused(arguments: tuple[float, float, str | None]) -> None:
    with pytest.raises(CheckError):
        Life(*arguments)


@pytest.mark.parametrize("changes", [{"fraction": 80}, {"reference": "mean"}, {"consecutive": 0}])
def test_an_impossible_definition_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        EndOfLife(**changes)  # type: ignore[arg-type]
