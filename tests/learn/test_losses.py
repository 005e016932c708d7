"""The censored likelihood against hand-computed cases, lifelines, and the axioms of probability."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import lifelines
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fadecast.cell.life import Life
from fadecast.forecast.forecast import (
    CAUSES,
    EDGES,
    HORIZONS,
    LONGEST,
    PRESSURE_CAUSES,
    RISKS,
)
from fadecast.learn.batches import Rows
from fadecast.learn.config import TrainingConfig
from fadecast.learn.losses import competing_risks_nll, pressure_nll, sensor_nll
from fadecast.learn.module import ForecasterModule
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import N_CAUSES, N_INTERVALS, Readout, log_hazards
from tests.learn.population import made_up_sequence

INF = float("inf")


def nll(hazards: torch.Tensor, after: float, until: float, cause: int) -> float:
    return float(
        competing_risks_nll(
            hazards, torch.tensor(after).to(hazards), torch.tensor(until).to(hazards),
            torch.tensor(cause),
        )
    )  # fmt: skip


def random_hazards(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(N_INTERVALS, N_CAUSES, generator=generator, dtype=torch.float64) - 3
    return log_hazards(logits)


def test_by_hand() -> None:
    """Two causes matter: 0.1 and 0.3 in every interval, survival 0.6."""
    p = torch.full((N_INTERVALS, N_CAUSES + 1), 1e-30, dtype=torch.float64)
    p[:, 0], p[:, 2], p[:, -1] = 0.1, 0.3, 0.6
    h = p.log()
    # interval 0 is (0, 1], interval 1 (1, 2]: one cycle each
    assert nll(h, 0, 1, 0) == pytest.approx(-math.log(0.1))
    assert nll(h, 1, 2, 2) == pytest.approx(-math.log(0.6 * 0.3))
    assert nll(h, 0, 2, 2) == pytest.approx(-math.log(0.3 + 0.6 * 0.3))
    assert nll(h, 3, INF, -1) == pytest.approx(-3 * math.log(0.6))
    # the first interval wider than one cycle: a constant hazard inside it
    j = next(j for j in range(N_INTERVALS) if EDGES[j + 1] - EDGES[j] == 2)
    start, half = EDGES[j], 0.6**0.5
    assert nll(h, start, start + 1, 0) == pytest.approx(-math.log(0.6**j * (1 - half) * 0.1 / 0.4))
    assert nll(h, start + 1, INF, -1) == pytest.approx(-math.log(0.6**j * half))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, LONGEST - 1), st.data())
def test_probabilities_add_up(seed: int, split: int, data: st.DataObject) -> None:
    h = random_hazards(seed)
    outcomes = [math.exp(-nll(h, 0, split, c)) for c in range(N_CAUSES)]
    outcomes += [math.exp(-nll(h, split, LONGEST, c)) for c in range(N_CAUSES)]
    outcomes += [math.exp(-nll(h, LONGEST, INF, -1))]
    assert sum(outcomes) == pytest.approx(1, abs=1e-9)
    middle = data.draw(st.integers(1, split - 1))
    both = math.exp(-nll(h, 0, middle, 1)) + math.exp(-nll(h, middle, split, 1))
    assert both == pytest.approx(math.exp(-nll(h, 0, split, 1)), rel=1e-9)


# One rate per interval is more than 60 cells can tell apart; only the likelihood is compared.
@pytest.mark.filterwarnings("ignore::lifelines.exceptions.ApproximationWarning")
@pytest.mark.filterwarnings("ignore::lifelines.exceptions.StatisticalWarning")
def test_against_lifelines() -> None:
    """One cause, constant hazards between edges: lifelines' piecewise exponential likelihood."""
    rng = np.random.default_rng(0)
    inner = [e for e in EDGES[1:-1] if e <= 600]
    model = lifelines.PiecewiseExponentialFitter(inner)
    low = rng.integers(0, 500, 60).astype(float)
    high = low + rng.integers(1, 60, 60)
    high[::3] = INF
    model.fit_interval_censoring(low, high)
    rates = 1 / np.array([getattr(model, name) for name in model._fitted_parameter_names])
    widths = np.diff([0, *inner])
    log_survive = -(rates[: len(widths)] * widths)
    hazards = torch.full((N_INTERVALS, N_CAUSES + 1), -40.0, dtype=torch.float64)
    hazards[: len(widths), -1] = torch.from_numpy(log_survive)
    hazards[: len(widths), 0] = torch.log(-torch.expm1(hazards[: len(widths), -1]))
    hazards[len(widths) :, -1] = -1e-9
    mine = competing_risks_nll(
        hazards.expand(60, -1, -1), torch.from_numpy(low), torch.from_numpy(high),
        torch.where(torch.from_numpy(high) < INF, 0, -1),
    )  # fmt: skip
    inside = np.where(np.isfinite(high), high, low) <= inner[-1]
    theirs = np.where(
        np.isfinite(high),
        model.survival_function_at_times(low).to_numpy()
        - model.survival_function_at_times(np.where(np.isfinite(high), high, 1e9)).to_numpy(),
        model.survival_function_at_times(low).to_numpy(),
    )
    assert inside.sum() > 40
    assert np.exp(-mine.numpy())[inside] == pytest.approx(theirs[inside], rel=1e-6)


def test_gradients_stay_finite_at_the_edges() -> None:
    logits = torch.tensor([-60.0, 0.0, 40.0]).repeat(4, N_INTERVALS, 1)
    logits = torch.cat([logits, logits[..., :1]], -1).requires_grad_()
    loss = competing_risks_nll(
        log_hazards(logits), torch.tensor([0.0, 4095.0, 9000.0, 4096.0]),
        torch.tensor([1.0, 4096.0, INF, 5000.0]), torch.tensor([0, 2, -1, 1]),
    )  # fmt: skip
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_sensors_against_a_normal_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, truth = torch.rand(2, 50, 4, generator=generator, dtype=torch.float64)
    spread = 0.01 + torch.rand(50, 4, generator=generator, dtype=torch.float64)
    mean.requires_grad_()
    spread.requires_grad_()
    loss = sensor_nll(mean, spread, truth)
    density = -torch.distributions.Normal(mean, spread).log_prob(truth) - math.log(2 * math.pi) / 2
    assert torch.allclose(loss, spread * density)
    ours = torch.autograd.grad(loss.sum(), (mean, spread))
    theirs = torch.autograd.grad(density.sum(), (mean, spread))
    for found, expected in zip(ours, theirs, strict=True):  # only the weight of a row differs
        assert torch.allclose(found, spread.detach() * expected)


def test_beyond_the_longest_horizon_is_censored_there() -> None:
    h = random_hazards(3)
    assert nll(h, 5000, 5001, 0) == pytest.approx(nll(h, LONGEST, INF, -1))


@pytest.mark.parametrize(
    ("until", "cause", "wanted"),
    [
        (5, "contact_loss", (1, 1, 1)),
        (10, "over_pressure", (1, 1, 1)),
        (11, "lithium_penetration", (0, 1, 1)),
        (51, "contact_loss", (0, 0, 1)),
        (5, "capacity_fade", (0, 0, 0)),
        (INF, None, (0, 0, 0)),
    ],
)
def test_failures_by_pressure_within_the_horizons(
    until: float, cause: str | None, wanted: tuple[int, ...]
) -> None:
    risk = torch.tensor([0.2, 0.3, 0.6], dtype=torch.float64)
    index = -1 if cause is None else CAUSES.index(cause)
    loss = pressure_nll(risk, torch.tensor(until).double(), torch.tensor(index))
    for got, p, outcome in zip(loss.tolist(), risk.tolist(), wanted, strict=True):
        assert got == pytest.approx(-math.log(p if outcome else 1 - p))


def test_risks_weigh_by_what_is_settled_of_every_row() -> None:
    """By hand: rows of every cause, of one that was lost and of one that may lie on either side,
    which stand for different numbers of cycles."""
    torch.manual_seed(0)
    lives = [Life(29, 30, cause) for cause in CAUSES]
    lives += [Life(70, INF, None), Life(28, 36, "contact_loss"), Life(400, INF, None)]
    cells = [replace(made_up_sequence(n, cycles=200), life=life) for n, life in enumerate(lives)]
    forecaster = Forecaster(ForecasterConfig(hidden=16, dropout=0.0)).eval()
    forecaster.hazards.linear.weight.data.normal_()
    batch = Rows(cells, forecaster, 5).batch
    told = ForecasterModule(forecaster, TrainingConfig(risk_weight=3.0))._losses(batch)["risk"]
    hidden = forecaster.recall(batch.features, batch.design, batch.age)
    hazards = log_hazards(forecaster.hazards(hidden.memory))
    risk = Readout().risks(hazards)[0][:, RISKS.index("pressure")].detach()
    assert batch.settled.unique().numel() > 4
    total = weight = 0.0
    for row, column in itertools.product(range(len(batch.age)), range(len(HORIZONS))):
        fails = batch.until[row] <= HORIZONS[column] and CAUSES[batch.cause[row]] in PRESSURE_CAUSES
        p = float(risk[row, column])
        total -= float(batch.settled[row, column]) * math.log(p if fails else 1 - p)
        weight += float(batch.settled[row, column])
    assert told.item() == pytest.approx(total / weight, rel=1e-4)
    none = ForecasterModule(forecaster, TrainingConfig())._losses(batch)
    assert "risk" not in none


def test_risks_are_read_on_the_device_of_the_hazards() -> None:
    """Devices are not there to be tested on; tensors without a place refuse to be mixed as well."""
    hazards = torch.zeros(2, N_INTERVALS, N_CAUSES + 1, device="meta")
    risk, _ = Readout().to("meta").risks(hazards)
    until, cause = torch.ones(2, device="meta"), torch.zeros(2, dtype=torch.long, device="meta")
    assert pressure_nll(risk[:, 0], until, cause).device.type == "meta"


@pytest.mark.parametrize("seed", range(5))
def test_a_risk_is_the_likelihood_of_failing_in_time(seed: int) -> None:
    """Learnt risks and learnt lives are of the same hazards."""
    h = random_hazards(seed).float()
    risk = Readout().risks(h[None])[0][0, RISKS.index("pressure")]
    causes = [CAUSES.index(c) for c in ("contact_loss", "lithium_penetration", "over_pressure")]
    for column, horizon in enumerate(HORIZONS):
        told = sum(math.exp(-nll(h, 0, horizon, cause)) for cause in causes)
        assert float(risk[column]) == pytest.approx(told, rel=1e-4)


def test_a_certain_risk_that_is_wrong_has_a_finite_loss() -> None:
    risk = torch.tensor([[0.0, 1.0, 0.5]], requires_grad=True)
    loss = pressure_nll(risk, torch.ones(1), torch.tensor([CAUSES.index("contact_loss")]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert risk.grad is not None
    assert torch.isfinite(risk.grad).all()
