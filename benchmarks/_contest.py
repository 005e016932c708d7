"""The opponents, each a stage that is kept; all of them meet the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import _trees
from benchmarks._cells import EVERY, VIEWS, Array, Cells, Rows, Table, hidden_truth, table
from benchmarks._cox import cox
from benchmarks._hazards import perceptron
from benchmarks._networks import (
    Described,
    Forecast,
    answers,
    described,
    fewer_averages,
    learnt,
    of,
    restored,
    without_pressure,
)
from benchmarks._patches import transformer
from benchmarks._said import Said, by_kind
from benchmarks._stages import Arrays, Stages, say
from fadecast.learn.config import TrainConfig
from fadecast.network.forecaster import PRESETS, ForecasterConfig
from fadecast.physics.state import TRUTH as TRUTH_COLUMNS

TRUTH: Final = ("truth_trees", "truth_network")
"""Who is given the hidden truth: the better of them is the ceiling."""
DEPTH: Final = "depth_trees"
"""Who is given one hidden state alone, how deep lithium has come: what seeing it would be worth."""
NETWORKS: Final = (
    "benchmarks/_networks.py", "benchmarks/_said.py", "benchmarks/_cells.py", "src/fadecast/cell",
    "src/fadecast/network", "src/fadecast/learn", "src/fadecast/forecast",
)  # fmt: skip
"""Code that decides what a network says."""
BUNDLES: Final = (
    "benchmarks/_networks.py", "benchmarks/_said.py", "benchmarks/_cells.py", "src/fadecast/cell",
    "src/fadecast/forecast", "src/fadecast/runtime",
)  # fmt: skip
"""What a bundle says, which is named by its fingerprint."""
CELLS: Final = ("benchmarks/_cells.py", "src/fadecast/learn/features.py", "src/fadecast/cell")

TREES: Final = ("benchmarks/_trees.py", "src/fadecast/forecast", *CELLS)

MICRO_DROPOUT: Final = 0.1
"""A third of the width leaves less to drop."""
_HISTORY: Final = VIEWS[-1]
_DEPTH_AT: Final = list(TRUTH_COLUMNS).index("penetration")


@dataclass(frozen=True)
class Effort:
    """How much is spent.

    Args:
        every: cycles between two rows that are learnt from; neighbours say nearly the same.
        trials, trial_rows, iterations: of the search for the trees' parameters; the first trial
            takes half a minute on one core, one with the most leaves and iterations thrice that.
        tree_rows, cox_rows: the most rows, drawn evenly, that such a model is fitted to. Memory
            bounds the former, time the latter.
        steps, truth_steps: of the Transformer and of the network that knows the truth.
    """

    every: int = 2 * EVERY
    trials: int = 25
    trial_rows: int = 60_000
    iterations: int = 300
    tree_rows: int = 400_000
    cox_rows: int = 30_000
    steps: int = 4000
    truth_steps: int = 3000


QUICK: Final = Effort(
    every=5 * EVERY, trials=3, trial_rows=1500, iterations=40, cox_rows=1500, steps=10,
    truth_steps=60,
)  # fmt: skip


class Contest:
    """Cells to learn from and cells to be judged on, with the rows of both.

    Args:
        train, held, test: cells of three sets of designs; ``held`` ones choose, and then teach
            those opponents that have nothing left to choose.
        kept: where the stages are.
    """

    def __init__(
        self, train: Cells, held: Cells, test: Cells, config: TrainConfig, effort: Effort,
        kept: Stages,
    ) -> None:  # fmt: skip
        self.train, self.held_cells, self.test = train, held, test
        self.learn = Cells(train.store, (*train.ids, *held.ids), train.end_of_life)
        self.config, self.effort, self.kept = config, effort, kept
        say("reading cells")
        self.learnt = kept("features_learn", CELLS, lambda: table(self.learn, effort.every))
        self._asked = kept("features_test", CELLS, lambda: table(test, EVERY))
        self.known, self.rows = Rows.of(self.learnt), Rows.of(self._asked)
        self.every, self.every_held = (
            Rows.of(kept(f"cycles_{name}", CELLS, lambda c=cells: table(c, 1, views=())))
            for name, cells in (("test", test), ("held", held))
        )
        self._described: Described | None = None
        self.held = np.arange(len(self.learn)) >= len(train)

    def opponents(self) -> dict[str, Said]:
        """What each says at ``rows``, the ones that know the truth last."""
        found = {"kind": Said.of(by_kind(self.known, self.rows))}
        _trees.show(self._tuning())
        for view in VIEWS:
            found[f"trees_{view}"] = self._trees(f"trees_{view}", view)
        found["cox"] = self._stage("cox", ("benchmarks/_cox.py", *CELLS), self._cox)
        found["transformer"] = self._stage(
            "transformer", ("benchmarks/_patches.py", "benchmarks/_hazards.py", *CELLS, *NETWORKS),
            self._transformer, f"{self._settings()} {self.effort.steps}",
        )  # fmt: skip
        found["network_blind"] = self.network(0, blind=True)
        truth_trees, truth_network = TRUTH
        found[DEPTH] = self._trees(DEPTH, _HISTORY, knows=slice(_DEPTH_AT, _DEPTH_AT + 1))
        found[truth_trees] = self._trees(truth_trees, _HISTORY, knows=slice(None))
        found[truth_network] = self._stage(
            truth_network, ("benchmarks/_hazards.py", *CELLS, *NETWORKS), self._perceptron,
            f"{self._settings()} {self.effort.truth_steps}",
        )  # fmt: skip
        return found

    def network(self, seed: int, *, blind: bool = False) -> Said:
        """Ours, trained by the configuration; ``blind`` to the pressure."""

        def make() -> Mapping[str, Array]:
            given = self._seen(blind=blind)
            return self._network(self.config.network, given, seed)

        name = f"network_{seed}{'_blind' * blind}"
        return self._stage(name, NETWORKS, make, self._settings())

    def blind(self) -> Forecast:
        """The network that is blind to the pressure, trained now, to be asked of any cycle."""
        given, config = self._seen(blind=True), self.config
        return of(learnt(given, config.network, config.training.model_copy(update={"seed": 0})))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Of all trees."""
        return _trees.chosen(self._tuning())

    def micro(self) -> Said:
        """The preset for microcontrollers, trained in the same way."""
        network = replace(PRESETS["micro"], dropout=MICRO_DROPOUT)

        def make() -> Mapping[str, Array]:
            given = fewer_averages(self._given(), self.config.network, network.averages)
            return self._network(network, given, 0)

        return self._stage("micro", NETWORKS, make, f"{network} {self._settings()}")

    def _seen(self, *, blind: bool) -> Described:
        given = self._given()
        return without_pressure(given, self.config.network) if blind else given

    def _given(self) -> Described:
        if self._described is None:
            arrays = self.kept("described", NETWORKS, self._describe, given=self._settings())
            self._described = restored(arrays)
        return self._described

    def _network(
        self, network: ForecasterConfig, given: Described, seed: int
    ) -> Mapping[str, Array]:
        training = self.config.training.model_copy(update={"seed": seed})
        return answers(learnt(given, network, training), given)

    def _describe(self) -> Arrays:
        return described(self.train, self.held_cells, self.test, self.rows, self.config)

    def _stage(
        self, name: str, code: tuple[str, ...], make: Callable[[], Mapping[str, Array]],
        given: object = "",
    ) -> Said:  # fmt: skip
        return Said.of(self.kept(name, code, make, given=f"{given}"))

    def _settings(self) -> str:
        """What the networks' configuration decides."""
        return f"{self.config.network} {self.config.training}"

    def _tuning(self) -> Arrays:
        def make() -> Arrays:
            x, effort = self.learnt[_HISTORY], self.effort
            held = self.held[self.known.cell]
            return _trees.tuned(
                x, self.known.label, held, effort.trials, effort.trial_rows, effort.iterations
            )

        return self.kept("tuning", TREES, make)

    def _trees(self, name: str, view: str, knows: slice | None = None) -> Said:
        def make() -> Mapping[str, Array]:
            known = (self.learnt[view], self._asked[view])
            x, fresh = known if knows is None else self._truth(knows)
            return _trees.boosted(x, self.known, fresh, self.parameters, self.effort.tree_rows)

        return self._stage(name, TREES, make, self.parameters)

    def _truth(self, columns: slice = slice(None)) -> tuple[Table, Table]:
        """History, and of hidden states and constants some columns, of the rows learnt from and of
        those judged."""
        pairs = ((self.learnt, self.learn, self.known), (self._asked, self.test, self.rows))
        x, fresh = (
            np.concatenate([of[_HISTORY], hidden_truth(cells, rows)[:, columns]], axis=1)
            for of, cells, rows in pairs
        )
        return x, fresh

    def _perceptron(self) -> Mapping[str, Array]:
        x, fresh = self._truth()
        steps, share = self.effort.truth_steps, self.config.training.risk_weight
        return perceptron(x, self.known, self.held, fresh, steps, share)

    def _cox(self) -> Mapping[str, Array]:
        x: NDArray[np.float32] = self.learnt[_HISTORY]
        return cox(x, self.known, self._asked[_HISTORY], self.effort.cox_rows)

    def _transformer(self) -> Mapping[str, Array]:
        return transformer(
            self.learn, self.known, self.held, self.test, self.rows, self.config.network,
            self.effort.steps, self.config.training.risk_weight,
        )  # fmt: skip
