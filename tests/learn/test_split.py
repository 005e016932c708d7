from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fadecast.cell.record import CellMetadata, CellSpec
from fadecast.errors import ConfigError
from fadecast.learn.config import KindsConfig, SplitConfig
from fadecast.learn.split import Split, split_cells


def cell(source: str, number: int, split: str | None = None) -> CellMetadata:
    return CellMetadata(CellSpec(f"{source}-{number}", 1.0, 2.0, 4.0), source, split=split)


populations = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 30), min_size=1).map(
    lambda sizes: [cell(s, n) for s, size in sizes.items() for n in range(size)]
)
configs = st.builds(
    SplitConfig,
    seed=st.integers(0, 99),
    validation=st.floats(0, 0.9),
    test=st.floats(0, 0.9),
)


@given(populations, configs, st.randoms())
def test_every_cell_is_in_exactly_one_part_whatever_the_order(cells, config, random) -> None:
    split = split_cells(cells, config)
    everyone = [*split.train, *split.validation, *split.test]
    assert sorted(everyone) == sorted(m.spec.cell_id for m in cells)
    shuffled = list(cells)
    random.shuffle(shuffled)
    again = split_cells(shuffled, config)
    assert again == split
    assert again.digest == split.digest


@given(populations, configs)
def test_a_source_keeps_its_share_and_its_draw(cells, config) -> None:
    split = split_cells(cells, config)
    for source in {m.source for m in cells}:
        own = [m for m in cells if m.source == source]
        train = {c for c in split.train if c.startswith(f"{source}-")}
        assert train, "no source is without a training cell"
        if len(own) >= 3 and config.test:
            tested = {c for c in split.test if c.startswith(f"{source}-")}
            assert abs(len(tested) - config.test * len(own)) <= 1
        alone = split_cells(own, config)
        assert set(alone.train) == train, "other sources do not change who is drawn"


def test_published_test_cells_are_tested_on() -> None:
    cells = [cell("m", n, ("train", "test1", "test2")[n % 3]) for n in range(30)]
    split = split_cells(cells, SplitConfig(validation=0.2))
    assert set(split.test) == {m.spec.cell_id for m in cells if m.split != "train"}
    assert len(split.validation) == 2
    mixed = split_cells(cells, SplitConfig(published=False, test=0.1))
    assert len(mixed.test) == 3


def test_named_cells_are_held_out_or_excluded() -> None:
    cells = [cell("a", n) for n in range(10)] + [cell("b", n) for n in range(10)]
    split = split_cells(cells, SplitConfig(held_out=("a-3", "a-7"), excluded=("b-0",), test=0.2))
    assert {c for c in split.test if c.startswith("a")} == {"a-3", "a-7"}
    assert sum(c.startswith("b") for c in split.test) == 2
    assert "b-0" not in {*split.train, *split.validation, *split.test}


def test_kinds_are_held_out_by_what_is_declared() -> None:
    cells = [
        CellMetadata(
            CellSpec(f"{anode}-{fixture}-{protocol[:3]}", 1.0, 2.0, 4.0, "nmc", anode, "sulfide",
                     fixture),
            "simulated", split="train", notes={"protocol": protocol},
        )
        for anode in ("lithium", "silicon")
        for fixture in ("spring", "fixed_gap")
        for protocol in ("laboratory C0.3/D0.5", "vehicle")
    ]  # fmt: skip

    def tested(**kinds: tuple[str, ...]) -> set[str]:
        config = SplitConfig(validation=0, held_out_kinds=KindsConfig(**kinds))
        return set(split_cells(cells, config).test)

    names = {m.spec.cell_id for m in cells}
    assert tested(anode=("silicon",)) == {n for n in names if n.startswith("silicon")}
    assert tested(fixture=("spring",)) == {n for n in names if "-spring-" in n}
    assert tested(protocol=("vehicle",)) == {n for n in names if n.endswith("veh")}
    both = tested(anode=("silicon",), protocol=("vehicle",))
    assert both == {n for n in names if n.startswith("silicon") or n.endswith("veh")}
    with pytest.raises(ConfigError, match=r"held_out_kinds\.anode names what no cell has: gold"):
        tested(anode=("gold",))


def test_seeds_differ_and_digests_tell() -> None:
    cells = [cell("a", n) for n in range(40)]
    splits = [split_cells(cells, SplitConfig(seed=seed)) for seed in range(5)]
    assert len({s.digest for s in splits}) == 5


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="held_out names cells"):
        split_cells([cell("a", 1)], SplitConfig(held_out=("b-1",)))
    with pytest.raises(ConfigError, match="excluded names cells"):
        split_cells([cell("a", 1)], SplitConfig(excluded=("b-1",)))
    with pytest.raises(ConfigError, match="no cell is left"):
        split_cells([cell("a", 1)], SplitConfig(held_out=("a-1",)))
    with pytest.raises(ConfigError, match="more than one part: x"):
        Split(("x", "y"), ("x",), ())
