"""Fitting a forecaster: scales and rows, Lightning, the best epoch, recalibration, novelty."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import Logger
from torch import Tensor

from fadecast.cell.design import encode_design
from fadecast.cell.life import CAUSES
from fadecast.errors import TrainingError
from fadecast.learn.batches import Batch, Rows, ordered_loader, training_loader, valid_rows
from fadecast.learn.calibrate import fit_intervals, fit_novelty, fit_recalibration, fit_spreads
from fadecast.learn.config import TrainingConfig
from fadecast.learn.dataset import Cells, CellSequence
from fadecast.learn.module import ForecasterModule
from fadecast.network.forecaster import Forecaster, ForecasterConfig
from fadecast.network.heads import log_hazards

_ENOUGH: Final = 600
"""Cells from which scales, recalibration and novelty are taken."""

_SCALES: Final = (
    "scaler.", "encoder.design", "hazards.unseen", "virtual.supervised", "virtual.linear.bias",
)  # fmt: skip
"""What of a forecaster's state is fitted before it is trained."""
_KEPT: Final[dict[str, Any]] = {"save_on_train_epoch_end": True, "enable_version_counter": False}

LAST = "last.ckpt"
"""The checkpoint in ``folder`` after the last finished epoch."""


class Prepared(NamedTuple):
    """All that a training repeats: nothing in it depends on a seed or on what is trained.

    ``scales`` are the fitted buffers of a forecaster, ``train`` the rows that move the weights,
    ``held`` those of the validation cells, if there are any, ``known`` those of the training cells
    that the novelty is fitted to.
    """

    scales: Mapping[str, Tensor]
    train: Rows
    held: Rows | None
    known: Rows


def fit(
    train: Sequence[CellSequence],
    validation: Sequence[CellSequence],
    network: ForecasterConfig,
    training: TrainingConfig,
    *,
    folder: Path,
    initial: Mapping[str, torch.Tensor] | None = None,
    resume: bool = False,
    progress: bool = False,
    logger: Logger | None = None,
    callbacks: Sequence[Callback] = (),
) -> Forecaster:
    """Prepare cells, and train, choose and finish a forecaster (``prepare``, ``fit_prepared``)."""
    _check_resumable(folder, resume)
    prepared = prepare(train, validation, network, training, initial, progress=progress)
    return fit_prepared(
        prepared, network, training, folder=folder, initial=initial, resume=resume,
        progress=progress, logger=logger, callbacks=callbacks,
    )  # fmt: skip


def prepare(
    train: Sequence[CellSequence],
    validation: Sequence[CellSequence],
    network: ForecasterConfig,
    training: TrainingConfig,
    initial: Mapping[str, Tensor] | None = None,
    *,
    progress: bool = False,
) -> Prepared:
    """Fit the scales and describe all cycles: each cell is looked at once.

    Args:
        train: cells whose cycles move the weights and set the scales.
        validation: cells that choose the epoch and the recalibration.
        network, training: as for ``fit_prepared``.
        initial: state of a trained forecaster whose scales are kept, and with them what it knows of
            designs and causes.

    Raises:
        TrainingError: ``initial`` is of another size, or no cell was cycled.
    """
    # A cell that failed in its first cycle was never alive at one: there is nothing to foresee.
    train, validation = (
        Cells.of(part).where(lambda head: head.alive > 0) for part in (train, validation)
    )
    forecaster = Forecaster(network).eval()
    if initial is None:
        fit_scales(forecaster, train, teach=training.virtual_weight > 0)
    else:
        _begin_with(forecaster, initial)
    return Prepared(
        {k: v.clone() for k, v in forecaster.state_dict().items() if k.startswith(_SCALES)},
        Rows(train, forecaster, training.every, progress=progress),
        Rows(validation, forecaster, training.every) if validation else None,
        Rows(_some(train), forecaster, training.every),
    )  # fmt: skip


def fit_prepared(
    prepared: Prepared,
    network: ForecasterConfig,
    training: TrainingConfig,
    *,
    folder: Path,
    initial: Mapping[str, torch.Tensor] | None = None,
    resume: bool = False,
    progress: bool = False,
    logger: Logger | None = None,
    callbacks: Sequence[Callback] = (),
) -> Forecaster:
    """Train, choose and finish a forecaster; everything is a function of its arguments.

    Args:
        prepared: of ``prepare``. Without validation cells the last epoch is taken and nothing is
            recalibrated.
        network, training: see ``ForecasterConfig`` and ``TrainingConfig``.
        folder: for checkpoints.
        initial: state of a trained forecaster of the same size to begin with. Its recalibration is
            not kept, as it is of hazards that will change.
        resume: go on after the last finished epoch in ``folder``. On a CPU the result is the one
            of an uninterrupted run, bit for bit.

    Raises:
        TrainingError: there is nothing to resume from, ``initial`` is of another size, or the
            likelihood stops being a number.
    """
    last = _check_resumable(folder, resume)
    torch.manual_seed(training.seed)
    forecaster = Forecaster(network)
    if initial is None:
        forecaster.load_state_dict({**forecaster.state_dict(), **prepared.scales})
    else:
        _begin_with(forecaster, initial)
    module = ForecasterModule(forecaster, training)
    shuffled = training_loader(prepared.train, training)
    watched = ordered_loader(prepared.held) if prepared.held else None
    best = ModelCheckpoint(folder, "best", "validation_nll", **_KEPT) if watched else None
    watching = [_Stopper(training.patience), best] if best else []
    bars = [RichProgressBar(leave=False)] if progress else []
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=training.epochs, accelerator=training.accelerator, devices=1,
            gradient_clip_val=training.gradient_clip, logger=logger or False,
            # The last one comes last: it also keeps what the others have made of the epoch.
            callbacks=[*watching, *bars, *callbacks, ModelCheckpoint(folder, "last", **_KEPT)],
            default_root_dir=folder,
            enable_model_summary=False, enable_progress_bar=progress,
            num_sanity_val_steps=0, log_every_n_steps=1,
        )  # fmt: skip
        trainer.fit(
            module, shuffled, watched, ckpt_path=last if resume else None, weights_only=True
        )
    chosen = best.best_model_path if best else str(last)
    state = torch.load(chosen, map_location="cpu", weights_only=True)["state_dict"]
    module.cpu().load_state_dict(state)
    if not all(torch.isfinite(p).all() for p in forecaster.parameters()):
        raise TrainingError("weights are not finite", fix="Lower training.learning_rate")
    _finish(forecaster.eval(), prepared)
    return forecaster


def _check_resumable(folder: Path, resume: bool) -> Path:
    last = folder / LAST
    if resume and not last.exists():
        raise TrainingError("nothing to resume from", where=str(last), fix="Start a new run")
    return last


@torch.no_grad()
def fit_scales(forecaster: Forecaster, train: Cells, *, teach: bool) -> None:
    """Scales of the inputs, the causes that occur and, to ``teach`` them, where virtual sensors
    begin, from the training cells alone."""
    some = [s.alive() for s in _some(train)]
    values, observed, _ = zip(*map(valid_rows, some), strict=True)
    changes = [forecaster.scaler.changes_of(*cell) for cell in zip(values, observed, strict=True)]
    forecaster.scaler.fit(torch.cat(values), torch.cat(observed), torch.cat(changes))
    designs = np.stack([encode_design(head.metadata.spec) for head in train.heads])
    forecaster.encoder.fit(torch.from_numpy(designs))
    causes = {head.life.cause for head in train.heads}
    forecaster.hazards.fit(torch.tensor([float(cause in causes) for cause in CAUSES]))
    truth = [torch.tensor(s.truth) for s in some if s.truth is not None]
    if truth and teach:
        forecaster.virtual.fit(torch.cat(truth).float())


def _begin_with(forecaster: Forecaster, initial: Mapping[str, Tensor]) -> None:
    fitted = ("recalibration.", "intervals.")
    fresh = {k: v for k, v in forecaster.state_dict().items() if k.startswith(fitted)}
    try:
        forecaster.load_state_dict({**initial, **fresh})
    except RuntimeError as error:
        raise TrainingError(
            "the network to begin with is of another size",
            fix="Give the network the settings of the run that it begins with",
        ) from error


@torch.no_grad()
def _finish(forecaster: Forecaster, prepared: Prepared) -> None:
    """Recalibration on the validation cells, novelty on the training cells."""
    if prepared.held:
        rows = prepared.held.batch
        memory = _memory(forecaster, rows)
        failed = rows.cause >= 0
        if failed.any():
            # All alike: a weight that knows how long a cell lived would bias what it is told. In
            # all they weigh as many as there are cells, each of whose weights square to 1.
            alike = torch.full_like(rows.weight, float(rows.weight.square().mean()))
            hazards = forecaster.hazards(memory)
            fit_recalibration(forecaster, hazards, rows.after, rows.until, rows.cause, alike)
            told = log_hazards(forecaster.recalibration(hazards), forecaster.hazards.least())
            # Within a cell the age rises.
            cell = (rows.age[:, 0].diff(prepend=rows.age[:1, 0]) <= 0).cumsum(0)
            fit_intervals(forecaster, told, rows.after, rows.until, failed, rows.design, cell)
        fit_spreads(forecaster, memory, rows.virtual.float(), rows.virtual_known, rows.weight)
    fit_novelty(forecaster, _memory(forecaster, prepared.known.batch))


def _memory(forecaster: Forecaster, rows: Batch) -> Tensor:
    return forecaster.recall(rows.features, rows.design, rows.age).memory


def _some(cells: Cells) -> Cells:
    """At most ``_ENOUGH`` cells, evenly spaced: statistics need no more."""
    return cells[:: -(-len(cells) // _ENOUGH)] if cells else cells


class _Stopper(EarlyStopping):
    """Ends the training after ``patience`` epochs without a better likelihood, resumed or not."""

    def __init__(self, patience: int) -> None:
        super().__init__(
            "validation_nll", patience=patience, check_on_train_epoch_end=True, check_finite=True
        )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning, after a checkpoint was loaded: it may be that of the last epoch."""
        trainer.should_stop = self.wait_count >= self.patience


class _quiet(warnings.catch_warnings):  # noqa: N801
    """Without Lightning's advice on hardware and workers; its errors still come through."""

    def __enter__(self) -> Any:
        self._log = logging.getLogger("lightning.pytorch")
        self._level = self._log.level
        self._log.setLevel(logging.ERROR)
        entered = super().__enter__()
        warnings.filterwarnings("ignore", module="lightning")
        return entered

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        self._log.setLevel(self._level)
