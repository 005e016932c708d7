"""Training: resumable to the bit, with skill where there is some, refused where it cannot go on."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from fadecast.errors import TrainingError
from fadecast.forecast.evaluate import evaluate
from fadecast.forecast.forecast import RISKS, VIRTUAL_SENSORS
from fadecast.learn.baselines import PopulationMean
from fadecast.learn.calibrate import fit_novelty, fit_spreads
from fadecast.learn.config import TrainingConfig
from fadecast.learn.dataset import CellSequence
from fadecast.learn.fit import fit
from fadecast.learn.predict import forecast_cells, known_truth
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.virtual import N_SENSORS
from tests.learn.population import made_up_sequence, made_up_truth

NETWORK = ForecasterConfig(hidden=8, dropout=0.2)


class Kill(Callback):
    """Stops the process's training in the middle of an epoch, as a kill would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        if trainer.current_epoch == self.epoch and index == 1:
            raise RuntimeError("killed")


@pytest.fixture(scope="module")
def cells() -> list[CellSequence]:
    return [made_up_sequence(n, cycles=120, fade=0.002 + 0.0001 * n) for n in range(12)]


def weights(forecaster: Forecaster) -> dict[str, torch.Tensor]:
    return dict(forecaster.state_dict())


@pytest.mark.parametrize("killed_in", [1, 3])
@pytest.mark.parametrize("watched", [True, False])
def test_resume_is_exact(cells, tmp_path: Path, killed_in: int, watched: bool) -> None:
    train, validation = cells[:9], cells[9:] if watched else []
    training = TrainingConfig(epochs=5, patience=2, batch_rows=200, seed=3, accelerator="cpu")
    whole = fit(train, validation, NETWORK, training, folder=tmp_path / "whole")
    folder = tmp_path / "cut"
    with pytest.raises(RuntimeError, match="killed"):
        fit(train, validation, NETWORK, training, folder=folder, callbacks=[Kill(killed_in)])
    torch.manual_seed(12345)
    np.random.default_rng().random(7)
    resumed = fit(train, validation, NETWORK, training, folder=folder, resume=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


class Seen(Callback):
    """The epochs that ran; killed at the start of epoch ``until``."""

    def __init__(self, until: int | None = None) -> None:
        self.epochs: list[int] = []
        self.until = until

    def on_train_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == self.until:
            raise RuntimeError("killed")
        self.epochs.append(trainer.current_epoch)


def test_no_finished_epoch_is_lost_or_added(cells, tmp_path: Path) -> None:
    """Not even those after the best one, while early stopping is waiting or when it has stopped."""
    still = 1e-12  # so that the first epoch is the best one
    training = TrainingConfig(epochs=9, patience=3, learning_rate=still, accelerator="cpu")
    parts = cells[:4], cells[9:]
    killed, rest, more = Seen(until=3), Seen(), Seen()
    with pytest.raises(RuntimeError, match="killed"):
        fit(*parts, NETWORK, training, folder=tmp_path, callbacks=[killed])
    resumed = fit(*parts, NETWORK, training, folder=tmp_path, resume=True, callbacks=[rest])
    again = fit(*parts, NETWORK, training, folder=tmp_path, resume=True, callbacks=[more])
    assert killed.epochs == [0, 1, 2]
    assert rest.epochs == [3]
    assert more.epochs == []
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 0
    for name, value in weights(resumed).items():
        assert torch.equal(value, weights(again)[name]), name


def test_the_same_seed_gives_the_same_weights_and_another_does_not(cells, tmp_path) -> None:
    runs = [
        fit(
            cells, [], NETWORK, TrainingConfig(epochs=2, seed=seed, accelerator="cpu"),
            folder=tmp_path / str(i),
        )
        for i, seed in enumerate((1, 1, 2))
    ]  # fmt: skip
    first, second, other = (run.state_dict()["encoder.first.weight"] for run in runs)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_five_steps_in_all_can_be_trained(cells, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=5, batch_rows=10_000, accelerator="cpu")
    trained = fit(cells, [], NETWORK, config, folder=tmp_path)
    assert all(torch.isfinite(p).all() for p in trained.parameters())


def test_a_cause_no_training_cell_failed_by_gets_no_risk(cells, tmp_path: Path) -> None:
    trained = fit(cells, [], NETWORK, TrainingConfig(epochs=1, accelerator="cpu"), folder=tmp_path)
    forecasts = forecast_cells(trained, cells)
    assert {s.life.cause for s in cells if s.life.failed} == {"capacity_fade"}
    for forecast in forecasts.values():
        assert forecast.risk[:, RISKS.index("pressure")].max() < 1e-12
        assert forecast.risk[:, RISKS.index("capacity_fade"), -1].max() > 1e-6


def test_nothing_to_resume(cells, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to resume from"):
        fit(cells, [], NETWORK, TrainingConfig(epochs=1), folder=tmp_path, resume=True)


def test_a_hostile_checkpoint_is_not_run(cells, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "last.ckpt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        fit(cells, [], NETWORK, TrainingConfig(epochs=1), folder=tmp_path, resume=True)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def population() -> list[CellSequence]:
    sequences = [made_up_sequence(n, cycles=240) for n in range(60)]
    return [s for s in sequences if s.life.failed]


def test_skill_where_there_is_some(population, tmp_path) -> None:
    train, test = population[:-12], population[-12:]
    lives = {s.cell_id: s.life for s in test}
    mean = PopulationMean().fit(train, [])
    trivial = evaluate({s.cell_id: mean.forecast(s) for s in test}, lives)
    network = ForecasterConfig(hidden=16, dropout=0.0)
    training = TrainingConfig(epochs=20, accelerator="cpu")
    true = fit(train, [], network, training, folder=tmp_path)
    found = evaluate(forecast_cells(true, test), lives)
    key = "any_cycle.rel_error"
    assert found.figures[key] < 0.7 * trivial.figures[key]


def test_training_goes_on_from_another_network(population, tmp_path) -> None:
    parts = population[:8], population[8:12]
    training = TrainingConfig(epochs=2, learning_rate=1e-12, accelerator="cpu")
    first = fit(*parts, NETWORK, TrainingConfig(epochs=2, accelerator="cpu"), folder=tmp_path / "1")
    given = first.state_dict()
    still = fit(population[12:16], [], NETWORK, training, folder=tmp_path / "2", initial=given)
    for name, value in weights(still).items():
        if not name.startswith(("novelty", "recalibration", "intervals")):
            assert torch.allclose(value, given[name], atol=1e-9), name
    assert first.recalibration.offset.abs().max() > 0
    assert still.recalibration.offset.abs().max() == 0
    moved = TrainingConfig(epochs=2, accelerator="cpu")
    tuned = fit(population[12:16], [], NETWORK, moved, folder=tmp_path / "3", initial=given)
    assert not torch.equal(tuned.encoder.first.weight, given["encoder.first.weight"])
    assert torch.equal(tuned.scaler.centre, given["scaler.centre"])
    with pytest.raises(TrainingError, match="of another size"):
        fit(*parts, ForecasterConfig(hidden=16), training, folder=tmp_path / "4", initial=given)


def test_scales_and_novelty_are_of_the_training_cells_alone(population, tmp_path) -> None:
    train, validation = population[:8], population[8:12]
    training = TrainingConfig(epochs=1, accelerator="cpu")
    one = fit(train, validation, NETWORK, training, folder=tmp_path / "one")
    other = fit(train, validation[:2], NETWORK, training, folder=tmp_path / "other")
    for name in ("scaler.centre", "scaler.scale", "scaler.change_scale", "novelty.whiten"):
        assert torch.equal(one.state_dict()[name], other.state_dict()[name])
    assert not torch.equal(one.recalibration.offset, other.recalibration.offset)


def test_sensors_are_learnt_from_the_truth_of_some_cells(tmp_path: Path) -> None:
    cells = [made_up_truth(n, cycles=200) for n in range(40)]
    train, validation, test = cells[:24], cells[24:32], cells[32:]
    train = [replace(s, truth=None) if n % 4 == 0 else s for n, s in enumerate(train)]
    network = ForecasterConfig(hidden=16, dropout=0.0)
    training = TrainingConfig(epochs=25, accelerator="cpu")
    trained = fit(train, validation, network, training, folder=tmp_path)
    assert trained.virtual.names == tuple(VIRTUAL_SENSORS)
    lives = {s.cell_id: s.life for s in test}
    figures = evaluate(
        forecast_cells(trained, test), lives, truth=known_truth(trained, test)
    ).figures
    told = np.concatenate([s.truth for s in test if s.truth is not None]).astype(float)
    for column, sensor in enumerate(VIRTUAL_SENSORS):
        trivial = np.abs(told[:, column] - told[:, column].mean()).mean()
        assert figures[f"any_cycle.{sensor}.sensor_mae"] < max(0.6 * trivial, 0.01), sensor
        assert figures[f"any_cycle.{sensor}.sensor_coverage_90"] > 0.75, sensor


def test_risks_within_the_horizons_are_learnt_where_they_weigh(population, tmp_path: Path) -> None:
    lives = [replace(s, life=replace(s.life, cause="contact_loss")) for s in population]
    network = ForecasterConfig(hidden=16, dropout=0.0)
    losses = []
    for share in (0.0, 100.0):
        training = TrainingConfig(epochs=3, risk_weight=share, accelerator="cpu")
        trained = fit(lives, [], network, training, folder=tmp_path / f"{share}")
        forecasts = forecast_cells(trained, lives)
        figures = evaluate(forecasts, {s.cell_id: s.life for s in lives}).figures
        losses.append(figures["any_cycle.contact_loss_50.brier"])
    assert losses[1] < 0.95 * losses[0]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_without_truth_or_weight_no_sensor_is_taught(cells, tmp_path: Path, share: float) -> None:
    """And the rest of the network is what it would be without any."""
    training = TrainingConfig(epochs=1, virtual_weight=share, accelerator="cpu")
    told = [made_up_truth(n, cycles=120, fade=0.002 + 0.0001 * n) for n in range(12)]
    trained = fit(told if share == 0 else cells, [], NETWORK, training, folder=tmp_path / "a")
    plain = fit(cells, [], NETWORK, training, folder=tmp_path / "b")
    assert trained.virtual.names == ()
    for name, value in weights(trained).items():
        assert torch.equal(value, weights(plain)[name]), name
    assert (trained.virtual.linear.weight == 0).all()


def test_the_spread_holds_nine_tenths_of_the_truth() -> None:
    """Weighted by cell, of those rows alone whose truth is known."""
    torch.manual_seed(0)
    forecaster = Forecaster(NETWORK)
    forecaster.virtual.fit(torch.full((2, N_SENSORS), 0.5))
    forecaster.virtual.linear.weight.data.normal_(0, 0.5)
    memory, weight = torch.randn(4000, NETWORK.hidden), torch.rand(4000)
    mean, spread = (x.detach() for x in forecaster.virtual(memory))
    truth = mean + 3 * spread * torch.randn(4000, N_SENSORS)
    known = torch.rand(4000, N_SENSORS) < 0.7
    known[:, 2] = False
    truth[~known] = 1e9
    fit_spreads(forecaster, memory, truth, known, weight)
    assert forecaster.virtual.scale.tolist() == pytest.approx([3.0, 3.0, 1.0, 3.0], rel=0.05)
    held = (truth - mean).abs() <= 1.645 * forecaster.virtual(memory)[1]
    for column in (0, 1, 3):
        rows = known[:, column]
        share = (weight * held[:, column])[rows].sum() / weight[rows].sum()
        assert float(share) == pytest.approx(0.9, abs=0.002)


def test_a_collapsed_network_is_a_message() -> None:
    with pytest.raises(TrainingError, match="encodes all training cycles alike"):
        fit_novelty(Forecaster(NETWORK), torch.ones(30, NETWORK.hidden))
