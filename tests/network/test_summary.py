"""Laws of the cycle summary, and its numbers against an independent float64 computation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fadecast.cell.samples import CHANNELS, OBSERVED
from fadecast.cell.summaries import BINS, FIELDS, INDEX
from fadecast.network.batch import summarise_cycles
from fadecast.network.summary import STEPS, Summary

SUMMARY = Summary()
WINDOW = torch.tensor([[3.0, 2.5, 4.2]])
# Sensor fields are averages and differences of larger numbers: compared to the size of those.
FLOOR = torch.tensor(
    [
        {"temperature": 25.0, "pressure": 5.0, "strain": 1.0}.get(f.split(".")[0], 1e-3)
        for f in FIELDS
    ]
)


def cycle(seed: int, length: int) -> tuple[Tensor, Tensor]:
    """A rough cycle: rest, charge with a hold, discharge, with noise, gaps and dead sensors."""
    rng = np.random.default_rng(seed)
    phase = np.linspace(0, 1, length)
    charging, discharging = (phase > 0.1) & (phase < 0.5), phase > 0.6
    voltage = np.where(charging, 2.6 + 6 * (phase - 0.1), 3.5)
    voltage = np.clip(np.where(discharging, 4.1 - 4 * (phase - 0.6), voltage), 2.4, 4.2)
    hold = charging & (voltage >= 4.2)
    current = np.where(charging, 3.0, 0.0) - np.where(discharging, 3.0, 0.0)
    current = np.where(hold, 3.0 * np.exp(-20 * (phase - phase[hold].min(initial=0.5))), current)
    values = np.zeros((1, length, len(CHANNELS)), np.float32)
    values[0, :, 0] = rng.choice(
        [1.0, 10.0, 60.0, 3607.0, 5000.0], length, p=[0.5, 0.3, 0.18, 0.01, 0.01]
    )
    values[0, :, 1] = voltage + 1e-3 * rng.standard_normal(length)
    values[0, :, 2] = current + 1e-3 * rng.standard_normal(length)
    values[0, :, 3] = 25 + rng.standard_normal(length)
    values[0, :, 4] = 5e6 + 1e5 * rng.standard_normal(length)
    values[0, :, 5] = 1e-3 * rng.standard_normal(length)
    observed = (rng.random((1, length, len(OBSERVED))) < 0.9).astype(np.float32)
    observed[..., 0] = 1
    if seed % 3 == 0:
        observed[..., 2] = 0
    values[..., 3:] *= observed[..., 1:]
    return torch.from_numpy(values), torch.from_numpy(observed)


def pieces(length: int, seed: int) -> list[slice]:
    cuts = np.random.default_rng(seed).integers(1, max(2, length), 8)
    ends = sorted({0, *cuts.tolist(), length})
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def assert_same(a: Tensor, b: Tensor) -> None:
    (values, seen), (expected, expected_seen) = SUMMARY.read(a), SUMMARY.read(b)
    assert torch.equal(seen, expected_seen)
    worst = ((values - expected).abs() / torch.maximum(expected.abs(), FLOOR)).max(0).values
    assert float(worst.max()) <= 1e-5, list(FIELDS)[int(worst.argmax())]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 900), st.integers(0, 2**31))
def test_chunked_equals_whole(seed: int, length: int, cut: int) -> None:
    samples, observed = cycle(seed, length)
    state = SUMMARY.start(1)
    for piece in pieces(length, cut):
        state = SUMMARY.update(state, samples[:, piece], observed[:, piece], WINDOW)
    assert_same(state, SUMMARY.digest(samples, observed, WINDOW))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 900), st.integers(0, 2**31))
def test_merged_in_any_tree(seed: int, length: int, cut: int) -> None:
    samples, observed = cycle(seed, length)
    states = [SUMMARY.digest(samples[:, p], observed[:, p], WINDOW) for p in pieces(length, cut)]
    rng = np.random.default_rng(cut)
    while len(states) > 1:
        at = int(rng.integers(0, len(states) - 1))
        states[at : at + 2] = [SUMMARY.merge(states[at], states[at + 1])]
    assert_same(states[0], SUMMARY.digest(samples, observed, WINDOW))


@pytest.mark.parametrize("length", [1, 40, 5000])
def test_sample_by_sample_equals_whole(length: int) -> None:
    samples, observed = cycle(7, length)
    state = SUMMARY.start(1)
    for t in range(length):
        state = SUMMARY.update(state, samples[:, t : t + 1], observed[:, t : t + 1], WINDOW)
    assert_same(state, SUMMARY.digest(samples, observed, WINDOW))


def test_long_equal_increments_do_not_drift() -> None:
    """20 000 equal 1-s samples one by one: the rest beside each sum keeps the charge exact."""
    samples = torch.tensor([[[1.0, 3.3, 0.3, 25.0, 0.0, 0.0]]])
    observed = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    state = SUMMARY.start(1)
    with torch.no_grad():
        for _ in range(20_001):
            state = SUMMARY.update(state, samples, observed, WINDOW)
    values, _ = SUMMARY.read(state)
    assert float(values[0, INDEX["charge_throughput"]]) == pytest.approx(
        20_000 / 3600 * 0.1, rel=1e-6
    )


@settings(deadline=None, max_examples=25)
@given(st.floats(0.5, 3.0), st.floats(0.3, 2.0))
def test_voltages_at_a_node_touch_the_same_nodes_in_any_precision(low: float, span: float) -> None:
    window = torch.tensor([[3.0, low, low + span]])
    at = low + span * np.arange(1, BINS - 1) / (BINS - 1)
    volts = np.float32(at)[:, None] + np.arange(-3, 4) * np.spacing(np.float32(at))[:, None]
    values = np.zeros((volts.size, 2, len(CHANNELS)), np.float32)
    values[:, :, 0], values[:, :, 2] = 30.0, 1.5
    values[:, :, 1] = volts.reshape(-1, 1)
    samples, observed = torch.from_numpy(values), torch.ones(volts.size, 2, len(OBSERVED))
    seen = {}
    for kind in (torch.float32, torch.float64):
        summary = Summary().to(kind)
        given = (part.to(kind) for part in (samples, observed, window.expand(volts.size, -1)))
        seen[kind] = summary.read(summary.update(summary.start(volts.size).to(kind), *given))[1]
    assert torch.equal(seen[torch.float32] > 0, seen[torch.float64] > 0)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.integers(300, 3000))
def test_what_efficiencies_and_spreads_are_made_of_is_rounded_once(seed: int, length: int) -> None:
    samples, observed = cycle(seed, length)
    found = {}
    for kind in (torch.float32, torch.float64):
        summary = Summary().to(kind)
        state = summary.start(1).to(kind)
        for piece in pieces(length, seed):
            parts = (samples[:, piece], observed[:, piece], WINDOW)
            state = summary.update(state, *(part.to(kind) for part in parts))
        found[kind] = summary.read(state)[0][0].double()
    exact, rounded = found[torch.float64], found[torch.float32]
    names = ("charge_throughput", "discharge_energy", "coulombic_efficiency", "energy_efficiency",
             "discharge_time", "hold_capacity", "hold_rate_mean", "hold_rate_std")  # fmt: skip
    for name in names:
        value = float(exact[INDEX[name]])
        assert float(rounded[INDEX[name]]) == pytest.approx(value, rel=1.2e-7, abs=1e-8), name


def test_empty_is_the_identity_and_says_nothing() -> None:
    samples, observed = cycle(1, 300)
    state, empty = SUMMARY.digest(samples, observed, WINDOW), SUMMARY.start(1)
    assert torch.equal(SUMMARY.read(SUMMARY.merge(empty, state))[0], SUMMARY.read(state)[0])
    assert torch.equal(SUMMARY.read(SUMMARY.merge(state, empty))[0], SUMMARY.read(state)[0])
    values, seen = SUMMARY.read(empty)
    assert not values.any()
    assert not seen.any()


def test_padding_and_neighbours_in_the_batch_change_nothing() -> None:
    samples, observed = cycle(2, 200)
    padded = torch.nn.functional.pad(samples, (0, 0, 0, 100))
    mask = torch.nn.functional.pad(observed, (0, 0, 0, 100))
    other, other_mask = cycle(3, 300)
    both = SUMMARY.digest(
        torch.cat([padded, other]), torch.cat([mask, other_mask]), WINDOW.expand(2, -1)
    )
    assert_same(both[:1], SUMMARY.digest(samples, observed, WINDOW))


def test_against_an_independent_computation() -> None:
    """Every kind of field once more, in plain float64 numpy with loops over the intervals."""
    samples, observed = cycle(4, 700)
    x, o = samples[0].double().numpy(), observed[0].numpy()
    capacity, low, high = 3.0, 2.5, 4.2
    x[:, 1] = low + np.trunc((x[:, 1] - low) / (high - low) * STEPS) / STEPS * (high - low)
    got = {
        name: float(v) if s else None
        for name, v, s in zip(
            FIELDS, *(p[0] for p in SUMMARY.read(SUMMARY.digest(samples, observed, WINDOW))),
            strict=True,
        )
    }  # fmt: skip
    charge = np.zeros((2, BINS))
    energy = np.zeros(2)
    hours = {"charge": 0.0, "discharge": 0.0, "rest": 0.0, "gap": 0.0}
    pressure_time, pressure_sum, loop, vi, ii = 0.0, 0.0, 0.0, 0.0, 0.0
    relaxation = 0.0
    for k in range(1, len(x)):
        h = x[k, 0] / 3600
        if x[k, 0] > 3607:
            hours["gap"] += h
            continue
        v, i = (x[k - 1, 1] + x[k, 1]) / 2, (x[k - 1, 2] + x[k, 2]) / 2
        u = float(np.clip((v - low) / (high - low), 0, 1))
        rate = i / capacity
        step = (x[k, 2] - x[k - 1, 2]) / capacity
        du = (x[k, 1] - x[k - 1, 1]) / (high - low)
        if abs(step) > 0.0513 and x[k, 0] < 30:
            vi, ii = vi + du * step, ii + step * step
        if o[k - 1, 2] * o[k, 2]:
            p = (x[k - 1, 4] + x[k, 4]) / 2e6
            pressure_time, pressure_sum = pressure_time + h, pressure_sum + p * h
            if abs(rate) > 2.13e-3:
                loop += p * rate * h
        if abs(rate) <= 2.13e-3:
            hours["rest"] += h
            relaxation += du * u
            continue
        way = 0 if rate > 0 else 1
        hours[("charge", "discharge")[way]] += h
        energy[way] += abs(rate) * h * v / high
        node = min(int(u * (BINS - 1)), BINS - 2)
        share = u * (BINS - 1) - node
        charge[way, node] += abs(rate) * h * (1 - share)
        charge[way, node + 1] += abs(rate) * h * share
    expected = {
        **{f"capacity.charge.{k:02d}": charge[0, k] for k in range(BINS)},
        **{f"capacity.discharge.{k:02d}": charge[1, k] for k in range(BINS)},
        "charge_throughput": charge[0].sum(), "discharge_throughput": charge[1].sum(),
        "charge_energy": energy[0], "discharge_energy": energy[1],
        "coulombic_efficiency": charge[1].sum() / charge[0].sum(),
        "charge_time": hours["charge"], "discharge_time": hours["discharge"],
        "rest_time": hours["rest"], "gap_time": hours["gap"], "resistance": vi / ii,
        "relaxation_high": relaxation,
        "pressure.mean": pressure_sum / pressure_time, "pressure.loop": loop,
        "pressure.highest": x[o[:, 2] > 0, 4].max() / 1e6,
        "pressure.lowest": x[o[:, 2] > 0, 4].min() / 1e6,
        "pressure.first": x[o[:, 2] > 0, 4][0] / 1e6,
        "temperature.last": x[o[:, 1] > 0, 3][-1],
        "strain.lowest": x[o[:, 3] > 0, 5].min() * 1e3,
        "voltage_highest": (x[:, 1].max() - low) / (high - low),
        "charge_rate_highest": x[:, 2].max() / capacity,
    }  # fmt: skip
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=2e-4, abs=2e-5), name


def test_a_missing_channel_is_masked_never_filled() -> None:
    samples, observed = cycle(5, 300)
    observed[..., 2] = 0
    values, seen = SUMMARY.read(SUMMARY.digest(samples, observed, WINDOW))
    fields = [i for name, i in INDEX.items() if name.startswith("pressure")]
    assert not seen[0, fields].any()
    assert not values[0, fields].any()
    garbage = samples.clone()
    garbage[..., 4] = 9e8
    again, _ = SUMMARY.read(SUMMARY.digest(garbage, observed, WINDOW))
    assert torch.equal(values, again)


def test_formats_share_one_feature_space() -> None:
    """Ten times the cell at ten times the current has the same summary."""
    samples, observed = cycle(6, 400)
    big = samples.clone()
    big[..., 2] *= 10
    a, _ = SUMMARY.read(SUMMARY.digest(samples, observed, WINDOW))
    b, _ = SUMMARY.read(SUMMARY.digest(big, observed, WINDOW * torch.tensor([[10.0, 1.0, 1.0]])))
    assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_records_are_cut_into_cycles() -> None:
    parts = [cycle(seed, length) for seed, length in ((1, 30), (2, 700), (4, 1), (5, 300))]
    values = torch.cat([s[0] for s, _ in parts]).numpy()
    observed = torch.cat([o[0] for _, o in parts]).numpy()
    count = np.repeat([3, 4, 6, 9], [30, 700, 1, 300])
    table = summarise_cycles(values, observed, count, WINDOW[0].numpy())
    assert table.cycle_count.tolist() == [3, 4, 6, 9]
    exact = summarise_cycles(values, observed, count, WINDOW[0].numpy(), torch.float64)
    assert (exact.observed == table.observed).all()
    assert np.allclose(exact.values, table.values, rtol=1e-5, atol=2e-5)
    assert not np.array_equal(exact.values, table.values)
    for row, (s, o) in enumerate(parts):
        alone, seen = SUMMARY.read(SUMMARY.digest(s, o, WINDOW))
        assert (table.observed[row] == seen[0].numpy()).all()
        assert np.allclose(table.values[row], alone[0].numpy(), rtol=1e-5, atol=2e-5)
