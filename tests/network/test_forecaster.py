"""Laws of the network: causal, the same in steps and in sequence, silent on missing channels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.design import N_DESIGN
from fadecast.cell.summaries import BINS, FIELDS, INDEX, N_FIELDS
from fadecast.errors import ConfigError
from fadecast.forecast.forecast import EDGES, HORIZONS, LONGEST, QUANTILES, RISKS
from fadecast.network.encoder import BREADTH, CURVES, LIMITED, NEAR, PER_LIMIT, SHAPES
from fadecast.network.forecaster import Forecaster, ForecasterConfig, valid_cycles
from fadecast.network.heads import N_CAUSES, N_INTERVALS, Readout, log_hazards

DISCHARGE = INDEX["discharge_throughput"]
PRESSURE = INDEX["pressure.highest"]
MEDIAN = QUANTILES.index(0.5)


@pytest.fixture(scope="module")
def network() -> Forecaster:
    torch.manual_seed(0)
    forecaster = Forecaster(ForecasterConfig(hidden=16)).eval()
    values, observed, design, _ = life(1, 8, 60)
    rows, masks = values.flatten(0, 1), observed.flatten(0, 1)
    changes = torch.cat(
        [forecaster.scaler.changes_of(v, o) for v, o in zip(values, observed, strict=True)]
    )
    forecaster.scaler.fit(rows, masks, changes)
    forecaster.encoder.fit(design)
    with torch.no_grad():
        for parameter in forecaster.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        memory = forecaster.sequence(values, observed, design, torch.ones(8, 60)).memory
    forecaster.novelty.fit(memory.flatten(0, 1))
    return forecaster


def life(seed: int, cells: int, cycles: int) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    drift = torch.rand(cells, 1, N_FIELDS, generator=rng) * torch.linspace(0, 1, cycles)[:, None]
    values = 1 + drift + 0.1 * torch.randn(cells, cycles, N_FIELDS, generator=rng)
    observed = (torch.rand(cells, cycles, N_FIELDS, generator=rng) < 0.8).float()
    observed[..., DISCHARGE] = 1
    design = torch.rand(cells, N_DESIGN, generator=rng)
    elapsed = torch.randint(1, 4, (cells, cycles), generator=rng).float()
    return values * observed, observed, design, elapsed


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), cycles=st.integers(1, 150))
def test_step_equals_sequence(network: Forecaster, seed: int, cycles: int) -> None:
    inputs = life(seed, 2, cycles)
    with torch.no_grad():
        hidden = network.sequence(*inputs)
        design = inputs[2].repeat_interleave(cycles, 0)
        rul, risk, incidence = network.read(hidden.memory.flatten(0, 1), design)
    stepped = network.forecast_sequence(*inputs)
    scale = stepped.rul.flatten(0, 1).clamp(min=1)
    assert ((rul - stepped.rul.flatten(0, 1)).abs() / scale).max() < 1e-4
    assert torch.allclose(risk, stepped.risk.flatten(0, 1), atol=1e-5)
    assert torch.allclose(incidence, stepped.incidence.flatten(0, 1), atol=1e-5)
    assert torch.allclose(hidden.soh, stepped.soh, atol=1e-5)
    mean, spread = network.virtual(hidden.memory)
    assert torch.allclose(mean, stepped.virtual, atol=1e-5)
    assert torch.allclose(spread, stepped.virtual_spread, atol=1e-5)
    assert mean.std() > 0
    assert stepped.valid.all()


def test_one_odd_cycle_changes_nothing(network: Forecaster) -> None:
    """A check-up at another rate leaves the forecast where equal cycles had brought it."""
    values, observed, design, elapsed = life(3, 1, 40)
    values, observed = values[:, :1].repeat(1, 40, 1), observed[:, :1].repeat(1, 40, 1)
    odd = values.clone()
    odd[:, 20] *= 1.5
    even, other = (network.forecast_sequence(v, observed, design, elapsed) for v in (values, odd))
    for one, two in zip(even, other, strict=True):
        assert torch.equal(one, two)
    odd[:, 21] *= 1.5  # two in a row are no accident
    twice = network.forecast_sequence(odd, observed, design, elapsed)
    assert not torch.equal(twice.rul[:, 21], even.rul[:, 21])


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), cycles=st.integers(3, 150), data=st.data())
def test_later_cycles_never_change_earlier_forecasts(
    network: Forecaster, seed: int, cycles: int, data: st.DataObject
) -> None:
    values, observed, design, elapsed = life(seed, 1, cycles)
    cut = data.draw(st.integers(1, cycles - 2))  # one odd cycle is passed over
    other, other_observed, _, other_elapsed = life(seed + 1, 1, cycles)
    with torch.no_grad():
        first = network.sequence(values, observed, design, elapsed)
        mixed = network.sequence(
            torch.cat([values[:, :cut], 50 * other[:, cut:]], 1),
            torch.cat([observed[:, :cut], other_observed[:, cut:]], 1),
            design,
            torch.cat([elapsed[:, :cut], other_elapsed[:, cut:]], 1),
        )
    assert torch.allclose(first.memory[:, :cut], mixed.memory[:, :cut], atol=1e-5)
    assert torch.equal(first.soh[:, :cut], mixed.soh[:, :cut])
    assert not torch.allclose(first.memory[:, cut:], mixed.memory[:, cut:], atol=1e-5)


def test_what_is_masked_is_never_looked_at(network: Forecaster) -> None:
    values, observed, design, elapsed = life(3, 2, 30)
    garbage = torch.where(observed > 0, values, 1e6)
    a, b = (network.forecast_sequence(v, observed, design, elapsed) for v in (values, garbage))
    assert torch.equal(a.rul, b.rul)
    assert torch.equal(a.novelty, b.novelty)


def test_how_close_a_cycle_came_to_the_permitted_pressure(network: Forecaster) -> None:
    values, observed, design, _ = life(5, 3, 20)
    values[..., PRESSURE], observed[..., PRESSURE] = 18.0, 1.0
    observed[0, :, PRESSURE] = 0
    design[:, LIMITED] = torch.tensor([1.0, 1.0, 0.0])
    design[:, PER_LIMIT] = torch.tensor([0.05, 0.05, 0.0])
    room = network.describe(values, observed, design).described[..., network.encoder.features - 1]
    over = NEAR * (18.0 / 20.0 - 1)
    expected = torch.tensor([0.0, over / (1 + abs(over) / 6), 0.0])
    assert torch.allclose(room, expected[:, None].expand(-1, 20), atol=1e-5)


def test_of_a_curve_only_the_broad_shape_of_its_change_is_seen(network: Forecaster) -> None:
    encoder, scalars = network.encoder, N_FIELDS - CURVES
    nodes = torch.arange(BINS)
    change = torch.zeros(1, 3, N_FIELDS)
    change[0, 0, :BINS] = 1.0  # the first curve has moved as a whole,
    change[0, 1, BINS : 2 * BINS] = nodes - (BINS - 1) / 2  # the second one has tilted,
    change[0, 2, :BINS] = 1.0 - 2 * (nodes % 2)  # the first one is noisy
    none = torch.zeros(1, 3, 1)
    features = encoder.describe(torch.zeros(1, 3, N_FIELDS), change, torch.ones_like(change), none)
    shapes = features[0, :, scalars:].split(SHAPES * (CURVES // BINS), 1)[0]
    moved, tilted, noisy = shapes.unflatten(1, (-1, SHAPES))
    assert moved[0, 0] == pytest.approx(BREADTH**0.5)
    assert moved.abs().sum() == pytest.approx(BREADTH**0.5, abs=1e-4)
    assert tilted[1].abs().argmax() == 1
    assert not tilted[0].any()
    assert noisy.abs().max() < 0.05 * BREADTH**0.5
    assert encoder.tracked.max() < encoder.features


def test_a_limit_says_nothing_where_training_knew_none(network: Forecaster) -> None:
    values, observed, design, elapsed = life(5, 2, 20)
    ignorant = copy.deepcopy(network)
    some = design.clone()
    some[:, [LIMITED, LIMITED + 1, PER_LIMIT]] = 0
    ignorant.encoder.fit(some)
    told = [ignorant.sequence(values, observed, d, elapsed).memory for d in (some, design)]
    assert torch.equal(*told)
    other = network.sequence(values, observed, some, elapsed).memory
    assert not torch.equal(other, network.sequence(values, observed, design, elapsed).memory)


def test_a_cycle_without_charge_changes_nothing_but_the_age(network: Forecaster) -> None:
    values, observed, design, elapsed = life(4, 1, 12)
    silent = values.clone()
    silent[:, 6, DISCHARGE] = 0.0
    silent[:, 6, INDEX["charge_throughput"]] = 0.0
    assert valid_cycles(silent, observed)[0, :, 0].tolist() == [1] * 6 + [0] + [1] * 5
    with_it = network.forecast_sequence(silent, observed, design, elapsed)
    keep = torch.arange(12) != 6
    gap = elapsed.clone()
    gap[:, 7] += gap[:, 6]
    without = network.forecast_sequence(silent[:, keep], observed[:, keep], design, gap[:, keep])
    assert with_it.valid[0].tolist() == [1] * 6 + [0] + [1] * 5
    assert torch.equal(with_it.rul[:, keep], without.rul)
    assert torch.equal(with_it.rul[:, 6], with_it.rul[:, 5])


def test_forecasts_do_not_contradict_themselves(network: Forecaster) -> None:
    forecast = network.forecast_sequence(*life(5, 3, 40))
    assert (forecast.rul.diff(dim=2) >= 0).all()
    assert (forecast.rul >= 0).all()
    assert (forecast.rul <= LONGEST).all()
    assert (forecast.risk.diff(dim=3) >= 0).all()
    causes = forecast.risk[:, :, :N_CAUSES]
    assert torch.allclose(causes.sum(2), forecast.risk[:, :, RISKS.index("any")], atol=1e-6)
    assert torch.allclose(
        causes[:, :, 1:].sum(2), forecast.risk[:, :, RISKS.index("pressure")], atol=1e-6
    )
    assert (forecast.incidence.sum(2) <= 1 + 1e-5).all()
    assert (forecast.virtual >= 0).all()
    assert (forecast.virtual <= 1).all()
    assert (forecast.virtual_spread > 0).all()


def test_readout_against_a_fine_numerical_integration() -> None:
    torch.manual_seed(1)
    hazards = log_hazards(torch.randn(4, N_INTERVALS, N_CAUSES) - 3)
    levels = -torch.log1p(-torch.tensor(QUANTILES)).expand(4, -1)
    rul, risk, incidence = Readout()(hazards, levels)
    p = hazards.double().exp().numpy()
    for row in range(4):
        survival, alive, reached = [1.0], 1.0, np.zeros(N_CAUSES)
        for j in range(N_INTERVALS):
            width = EDGES[j + 1] - EDGES[j]
            reached = reached + alive * p[row, j, :-1]
            assert incidence[row, :, j].numpy() == pytest.approx(reached, abs=1e-5)
            survival += [alive * p[row, j, -1] ** (s / width) for s in range(1, width + 1)]
            alive = survival[-1]
        for h, horizon in enumerate(HORIZONS):
            assert float(risk[row, -1, h]) == pytest.approx(1 - survival[horizon], abs=1e-5)
        for q, quantile in enumerate(QUANTILES):
            below = np.flatnonzero(np.array(survival) <= 1 - quantile)
            exact = below[0] if len(below) else LONGEST
            assert exact - 1 <= float(rul[row, q]) <= exact + 1e-3


def test_fields_and_designs_never_trained_on_are_ignored() -> None:
    torch.manual_seed(0)
    forecaster = Forecaster(ForecasterConfig(hidden=16)).eval()
    values, observed, design, elapsed = life(6, 4, 30)
    pressure = torch.tensor([name.startswith("pressure") for name in FIELDS])
    blind = observed * ~pressure
    rows, masks = (values * blind).flatten(0, 1), blind.flatten(0, 1)
    forecaster.scaler.fit(rows, masks, rows)
    design[:, 5:] = 0
    forecaster.encoder.fit(design)
    assert not forecaster.scaler.known[pressure].any()
    a = forecaster.forecast_sequence(values * blind, blind, design, elapsed)
    b = forecaster.forecast_sequence(values, observed, design, elapsed)
    assert torch.equal(a.rul, b.rul)
    strange = design.clone()
    strange[:, 9] = 1
    c = forecaster.forecast_sequence(values, observed, strange, elapsed)
    assert torch.equal(b.risk, c.risk)
    assert torch.equal(b.rul[..., MEDIAN], c.rul[..., MEDIAN])
    assert (c.novelty > b.novelty + 0.99).all()
    assert (c.rul[..., 0] < b.rul[..., 0]).all()
    assert (c.rul[..., -1] > b.rul[..., -1]).all()


def test_novelty_is_one_at_the_99th_centile_and_large_far_away(network: Forecaster) -> None:
    values, observed, design, _elapsed = life(1, 8, 60)
    near = network.forecast_sequence(values, observed, design, torch.ones(8, 60)).novelty
    assert float((near > 1).float().mean()) == pytest.approx(0.01, abs=0.01)
    far = network.forecast_sequence(1e3 * values, observed, design, torch.ones(8, 60)).novelty
    assert float(far.median()) > 1


def test_the_default_network_is_small() -> None:
    size = sum(p.numel() for p in Forecaster(ForecasterConfig()).parameters())
    assert size <= 200_000


@pytest.mark.parametrize(
    "wrong", [{"hidden": 4}, {"reference_cycles": 0}, {"dropout": 1.0}, {"averages": ()}]
)
def test_impossible_sizes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ForecasterConfig(**wrong)  # type: ignore[arg-type]
