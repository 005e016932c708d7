"""The data card says what lies in the folder."""

import json

import pytest

from fadecast.errors import ConfigError
from fadecast.physics.datacard import OUTCOMES, write_card
from fadecast.physics.generate import generate
from fadecast.physics.parameters import TABLE
from fadecast.physics.population import Group, Population

pytest.importorskip("matplotlib")

CONFIG = Population(
    name="carded", cells=6, cycles=20, shard=3, keep="samples", latent=False,
    groups=(Group(anode="lithium", tier="lab"), Group(anode="silver_carbon")),
)  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "out"
    list(generate(CONFIG, folder))
    return folder


def test_a_card_counts_every_cell_and_names_every_source(out):
    card, page = write_card(out)
    assert card == json.loads((page.parent / "card.json").read_text())
    assert sum(card["all"][name] for name in OUTCOMES) == 6
    assert sum(v["cells"] for v in card["by tier"].values()) == 6
    text = page.read_text()
    assert all(f"| {p.name} | {p.unit} |" in text for p in TABLE)
    assert "Not anchored" in text
    for figure in ("fade", "pressure", "voltage", "window"):
        assert (page.parent / f"{figure}.svg").stat().st_size > 1000


def test_a_card_is_the_same_every_time(out):
    first = {p.name: p.read_bytes() for p in write_card(out)[1].parent.iterdir()}
    assert first == {p.name: p.read_bytes() for p in write_card(out)[1].parent.iterdir()}


def test_nothing_to_describe(tmp_path, out):
    with pytest.raises(ConfigError, match="no population"):
        write_card(tmp_path)
    (out / "truth" / "shard-00001.npz").rename(tmp_path / "away.npz")
    with pytest.raises(ConfigError, match="3 of 6"):
        write_card(out)
    (tmp_path / "away.npz").rename(out / "truth" / "shard-00001.npz")
