"""Populations: same bytes after a kill, labels, splits, and nothing hidden in a record."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from fadecast.cell.life import CAUSES, EndOfLife, find_life
from fadecast.cell.store import Store
from fadecast.cell.summaries import CycleSummaries
from fadecast.errors import ConfigError
from fadecast.physics import generate as generating
from fadecast.physics.generate import generate
from fadecast.physics.population import Group, Population
from fadecast.physics.shard import Shard
from fadecast.physics.simulate import simulate
from fadecast.physics.state import TRUTH

CONFIG = Population(
    name="tiny", seed=5, cells=8, cycles=30, shard=4, keep="samples", held_out=("silicon",),
    groups=(Group(anode="lithium"), Group(anode="silicon", fixture="fixed_gap")),
)  # fmt: skip


def contents(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("population") / "out"
    assert list(generate(CONFIG, out)) == [(1, 2), (2, 2)]
    return out


@pytest.mark.parametrize("after", [0, 1, 3, 5, 7])
def test_a_killed_run_ends_in_the_same_bytes(made, tmp_path, monkeypatch, after):
    """The process dies at the ``after``-th write of a cell, and the run is started again."""
    writes = 0
    whole = Store.write

    def dying(self, record):
        nonlocal writes
        if writes == after:
            raise KeyboardInterrupt
        writes += 1
        whole(self, record)

    monkeypatch.setattr(Store, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        list(generate(CONFIG, tmp_path / "out"))
    monkeypatch.setattr(Store, "write", whole)
    list(generate(CONFIG, tmp_path / "out"))
    again = {k: v for k, v in contents(tmp_path / "out").items() if ".partial" not in k}
    assert again == {k: v for k, v in contents(made).items() if ".partial" not in k}


@pytest.mark.slow
def test_workers_write_the_same_bytes(made, tmp_path):
    assert len(list(generate(CONFIG, tmp_path / "out", workers=2))) == 2
    assert contents(tmp_path / "out") == contents(made)


def test_finished_shards_are_not_simulated_again(made, monkeypatch):
    def never(*args):
        raise AssertionError("a finished shard ran again")

    monkeypatch.setattr(generating, "make_shard", never)
    assert list(generate(CONFIG, made))[-1] == (2, 2)


def test_a_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    def full(self, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(ConfigError, match="No space left"):
        list(generate(CONFIG, tmp_path / "out"))
    assert not list((tmp_path / "out" / "truth").iterdir())


def test_two_configurations_do_not_mix(made):
    with pytest.raises(ConfigError, match="another configuration"):
        list(generate(CONFIG.model_copy(update={"seed": 6}), made))


def test_a_folder_older_than_a_key_goes_on(made, tmp_path):
    shutil.copytree(made, tmp_path / "old")
    header = tmp_path / "old" / "population.json"
    stated = json.loads(header.read_text())
    del stated["sensors"]["interval"]
    header.write_text(json.dumps(stated))
    assert list(generate(CONFIG, tmp_path / "old")) == [(2, 2)]
    assert contents(tmp_path / "old") == contents(made)


def test_lives_of_records_are_those_of_the_truth(made):
    store = Store(made)
    for path in sorted((made / "truth").iterdir()):
        with np.load(path, allow_pickle=False) as truth:
            for i, cell_id in enumerate(truth["cell_id"]):
                record = store.read(str(cell_id))
                table = CycleSummaries.from_fields([1], {"discharge_throughput": [0.1]})
                life = find_life(table, record.metadata, EndOfLife())
                cause = int(truth["cause"][i])
                assert life.cause == (CAUSES[cause] if cause >= 0 else None)
                assert life.after == truth["after"][i]
                assert record.samples["cycle_count"].max() == truth["until"][i]


def test_nothing_hidden_is_observable(made):
    store = Store(made)
    hidden = set(TRUTH) - {"capacity"}
    for cell_id in store.cell_ids():
        record = store.read(cell_id)
        assert not hidden & set(record.samples)
        assert set(record.metadata.notes) == {"tier", "protocol", "population", "design"}
        assert not any(word in str(record.metadata.notes) for word in hidden)


def test_splits_go_by_design_and_the_held_out_is_apart(made):
    store = Store(made)
    by_design = {}
    for cell_id in store.cell_ids():
        meta = store.metadata(cell_id)
        assert (meta.split == "out-of-distribution") == (meta.spec.anode == "silicon")
        by_design.setdefault(meta.notes["design"], set()).add(meta.split)
    assert all(len(splits) == 1 for splits in by_design.values())


def test_undeclared_cells_differ_in_what_is_said_of_them_alone(made, tmp_path):
    silent = CONFIG.model_copy(update={"undeclared": 1.0})
    list(generate(silent, tmp_path / "silent"))
    for cell_id in Store(made).cell_ids():
        one, other = (Store(p).read(cell_id) for p in (made, tmp_path / "silent"))
        assert (other.spec.fixture, other.spec.applied_pressure_pa) == ("unknown", None)
        assert other.spec.pressure_limit_pa is None
        assert set(one.samples) - set(other.samples) == {"applied_pressure_pa"}
        assert other.metadata.published_life == one.metadata.published_life
        for name, values in other.samples.items():
            assert np.array_equal(values, one.samples[name], equal_nan=True)
    some = CONFIG.model_copy(update={"undeclared": 0.5})
    list(generate(some, tmp_path / "some"))
    found = Store(tmp_path / "some")
    specs = [found.metadata(c).spec for c in found.cell_ids()]
    unknown = [(s.fixture == "unknown", s.pressure_limit_pa is None) for s in specs]
    assert all(0 < sum(column) < len(specs) for column in zip(*unknown, strict=True))
    assert any(one != other for one, other in unknown)  # drawn apart


def test_declared_is_the_limit_of_the_design_not_of_the_cell(made):
    for number in range(CONFIG.shards):
        shard = Shard(CONFIG, number)
        for i, cell_id in enumerate(shard.ids()):
            limit = Store(made).metadata(cell_id).spec.pressure_limit_pa
            assert limit == 1e6 * shard.nominal[shard.designs[i]]["pressure_limit"]
            assert limit != 1e6 * shard.cells[i]["pressure_limit"]


def test_the_limit_is_a_multiple_of_what_the_design_reaches():
    shards = [Shard(CONFIG, number) for number in range(2)]
    for cell in np.concatenate([shard.nominal for shard in shards]):
        reached = cell["set_pressure"] + cell["stiffness"] * cell["anode_breathing"] * cell["rated"]
        low, high = CONFIG.pressure_limit
        assert low - 1e-9 <= cell["pressure_limit"] / reached <= high or cell["pressure_limit"] == 1


def test_latent_times_are_those_of_reruns_for_one_cause():
    """The two reruns that follow several causes find what one rerun for each cause finds."""
    config = Population(
        name="t", cells=12, cycles=300, shard=12, pressure_limit=(1.0, 1.5),
        groups=(Group(tier="lab"),),
    )  # fmt: skip
    shard = Shard(config, 0)
    lives, latent = shard.run()
    failed = np.nonzero(lives.cause >= 0)[0]
    assert len(failed) > 6
    assert len(np.unique(lives.cause[failed])) > 1
    for cause in range(len(CAUSES)):
        alone = simulate(
            shard.cells, shard.protocol, shard.keys, events=shard.events, causes=1 << cause
        )
        for i in failed:
            if lives.cause[i] == cause:
                assert latent[i, cause] == lives.until[i]
            else:
                reached = alone.cause[i] == cause
                assert latent[i, cause] == (alone.until[i] if reached else -300)


def test_shards_do_not_depend_on_how_many_there_are():
    one = Shard(CONFIG, 1)
    many = Shard(CONFIG.model_copy(update={"cells": 4000}), 1)
    assert one.cells.tobytes() == many.cells.tobytes()
    assert np.array_equal(one.keys, many.keys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\ncells: 0", "cells"),
        ("name: x\ncells: 4\nspeed: 3", "speed"),
        ("name: x\ncells: 4\npressure_limit: [0.5, 2]", "new cells would exceed it"),
        ("name: x\ncells: 4\ngroups: [{anode: gold}]", "anode"),
        ("- 3", "configuration"),
        ("name: [", "cannot read"),
        ("name: x\ncells: 4\npressure: [2, 1]", "from 2.0 down to 1.0"),
        ("name: x\ncells: 4\ncycles: 20000", "shard: 3 or less"),
        ("name: x\ncells: 4\nshard: 1\ncells_per_design: 3", "shard: 3 or more"),
        ("name: x\ncells: 4\npressure: [1, .inf]", "pressure"),
        ("name: x\ncells: 4\ncharge_rate: [1, .inf]", "charge_rate"),
        ("name: x\ncells: 4\ncelsius: [20, 300]", "celsius"),
        ("name: x\ncells: 4\ncelsius: [.nan, .nan]", "celsius"),
        ("name: x\ncells: 4\nsilicon_pressure: [1, 1000]", "silicon_pressure"),
        ("name: x\ncells: 4\nsensors: {gaps: 1}", "gaps"),
        ("name: x\ncells: 4\nsensors: {voltage_noise: .nan}", "voltage_noise"),
        ("name: x\ncells: 4\nheld_out: [silicon]", "no group has"),
        ("name: x\ncells: 4\nheld_out: [lithium]", "no group to train on"),
        ("name: x\ncells: 4\nengine: pybamm\ngroups: [{anode: silicon}]", "silicon"),
    ],
)
def test_wrong_configurations_are_refused(tmp_path, text, words):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        Population.from_yaml(path)


@pytest.mark.slow
def test_causes_censoring_and_early_predictability():
    """Every cause has its share, and the design alone does not tell the life."""
    groups = tuple(
        Group(anode=a, fixture=f, weight=w)
        for a, w in (("lithium", 3), ("anode_free", 2), ("silver_carbon", 3), ("silicon", 2))
        for f in ("spring", "fixed_gap", "constant_force")
    )
    config = Population(name="mix", cells=480, cycles=1000, shard=8, groups=groups, latent=False)
    cause, life, design = [], [], []
    for number in range(config.shards):
        shard = Shard(config, number)
        lives = simulate(shard.cells, shard.protocol, shard.keys, truth=False)
        cause += lives.cause.tolist()
        life += lives.until.tolist()
        for cell in shard.cells:
            numbers = np.array(cell.tolist())
            kinds = [shard.group.anode == a for a in ("anode_free", "silver_carbon", "silicon")]
            design.append([*np.log(np.abs(numbers) + 1e-12), *kinds, shard.rate])
    share = np.bincount(np.array(cause) + 1, minlength=5) / len(cause)
    assert 0.10 <= share[0] <= 0.40, share
    assert share[1:].min() >= 0.05, share
    names = ["set_pressure", "stiffness", "rated", "voltage_max", "separator_thickness"]
    order = list(shard.cells.dtype.names)
    declared = np.array(design)[:, [order.index(n) for n in names] + [-4, -3, -2, -1]]
    x = np.column_stack([np.ones(len(life)), declared])
    y = np.log(np.array(life, float))
    fit = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    assert 1 - ((y - fit) ** 2).sum() / ((y - y.mean()) ** 2).sum() <= 0.60
