"""The forecaster as a Lightning module: its loss and its optimiser, nothing else."""

from __future__ import annotations

from typing import Any, Final

import lightning
import numpy as np
import torch
from torch import Tensor

from fadecast.forecast.forecast import RISKS
from fadecast.learn.batches import Batch
from fadecast.learn.config import TrainingConfig
from fadecast.learn.losses import competing_risks_nll, pressure_nll, sensor_nll
from fadecast.network.forecaster import Forecaster
from fadecast.network.heads import log_hazards

_PRESSURE: Final = RISKS.index("pressure")


class ForecasterModule(lightning.LightningModule):
    """Negative log-likelihood of rows, weighted as ``Batch.weight`` says; that of the risks within
    the horizons has all cycles alike, as they are ranked and warned of."""

    def __init__(self, forecaster: Forecaster, config: TrainingConfig) -> None:
        super().__init__()
        self.forecaster = forecaster
        self.config = config
        self._told: dict[str, Tensor] = {}

    def on_train_epoch_start(self) -> None:
        """Begin the sums that the epoch's means are made of."""
        self._told = {}

    def on_train_batch_start(self, _batch: Batch, index: int) -> None:
        """Make a step's random numbers a function of the seed, the epoch and the step alone.

        With the order of batches being one as well, resuming needs no generator's state.
        """
        seeds = np.random.SeedSequence([self.config.seed, self.current_epoch, index])
        seed = int(seeds.generate_state(1)[0])
        if self.device.type == "cpu":
            # What torch.manual_seed does besides is for devices, and costs a tenth of a step.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Likelihood, that of the risks within the horizons, and small losses that keep the state
        of health and the sensors true."""
        losses = self._losses(batch)
        rows = len(batch.age)
        for name, value in [*losses.items(), ("rows", torch.ones(()))]:
            self._told[name] = self._told.get(name, 0.0) + rows * value.detach()
        if self.trainer.is_last_batch:  # Lightning's own means would take a third of every step
            total = self._told.pop("rows")
            means = {f"train_{name}": value / total for name, value in self._told.items()}
            self.log_dict(means, batch_size=rows, on_epoch=True, on_step=False)
        weights = {
            "risk": self.config.risk_weight, "soh": self.config.soh_weight,
            "virtual": self.config.virtual_weight,
        }  # fmt: skip
        return losses["nll"] + sum(w * losses[n] for n, w in weights.items() if n in losses)

    def validation_step(self, batch: Batch, _index: int) -> None:
        """What early stopping watches."""
        for name, value in self._losses(batch).items():
            self.log(
                f"validation_{name}", value, batch_size=len(batch.design), prog_bar=name == "nll"
            )

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """By name; that of the virtual sensors where the network is taught any."""
        hidden = self.forecaster.recall(batch.features, batch.design, batch.age)
        hazards = log_hazards(self.forecaster.hazards(hidden.memory))
        told = competing_risks_nll(hazards, batch.after, batch.until, batch.cause)
        off = torch.nn.functional.smooth_l1_loss(hidden.soh, batch.soh, reduction="none", beta=0.01)
        losses = {"nll": _mean(told, batch.weight), "soh": _mean(off, batch.soh_weight)}
        if self.config.risk_weight > 0:
            risk = self.forecaster.readout.risks(hazards)[0][:, _PRESSURE]
            losses["risk"] = _mean(pressure_nll(risk, batch.until, batch.cause), batch.settled)
        if self.forecaster.virtual.names:
            mean, spread = self.forecaster.virtual(hidden.memory)
            told = sensor_nll(mean, spread, batch.virtual.float())
            losses["virtual"] = _mean(told, batch.weight.unsqueeze(1) * batch.virtual_known)
        return losses

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle of the learning rate; biases do not decay."""
        weights = [p for p in self.parameters() if p.ndim > 1]
        biases = [p for p in self.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": weights}, {"params": biases, "weight_decay": 0.0},
        ]  # fmt: skip
        optimiser = torch.optim.AdamW(
            groups,
            lr=self.config.learning_rate, weight_decay=self.config.weight_decay,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.config.learning_rate,
            # With five steps the rise would end at its first one, and divide by zero.
            total_steps=max(int(self.trainer.estimated_stepping_batches), 6), pct_start=0.2,
        )  # fmt: skip
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum() / weight.sum().clamp(min=1e-12)
