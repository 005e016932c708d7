"""What alarms announce: the rule is chosen on validation designs, and told of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from benchmarks import _common
from benchmarks._alarms import AHEAD, LEAD, RELEASE, THRESHOLDS, Alarms, Curve, lead, lead_at
from benchmarks._cells import Array, Ints, Rows
from benchmarks._contest import Contest
from benchmarks._judging import DRAWS, Figures
from benchmarks._networks import Forecast
from benchmarks._watch import NOW, heard, opponents
from fadecast.cell.life import PRESSURE_CAUSES
from fadecast.forecast.forecast import HORIZONS

RELEASES: Final = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Of which validation designs choose ours; an opponent has the one that serves it best."""


def announced(contest: Contest, network: Forecast, given: str) -> tuple[Figures, dict[str, Curve]]:
    """What is announced by ours and by opponents, printed; the curves are to be drawn.

    Args:
        given: what names ``network``.
    """
    held, rows = contest.every_held, contest.every
    risk, ours = heard(contest, network, given)
    show_choice(held, risk)
    before, own = (Alarms.of(r, x[:, NOW]) for r, x in ((held, risk), (rows, ours)))
    others = {name: best(rows, x) for name, x in opponents(contest).items()}
    after = own.curve()
    curves = {"network": after} | {name: them.curve() for name, (them, _) in others.items()}
    releases = {"network": RELEASE} | {name: release for name, (_, release) in others.items()}
    show(curves, releases)
    figures = lead(after)
    for name, curve in curves.items():
        if name != "network":
            figures |= {f"{key}.{name}": value for key, value in lead(curve).items()}
    figures |= spans(own, others["trees_history"][0], contest.test.designs)
    return figures | chosen(before.curve(), after), curves


def spans(own: Alarms, trees: Alarms, design: Ints) -> Figures:
    """95 % intervals of ours and of ours minus the trees', designs drawn anew, printed; in every
    draw either has the threshold that is quiet enough there."""
    draw, units = np.random.default_rng(0), int(design.max()) + 1
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(DRAWS):
        weight = np.bincount(draw.integers(0, units, units), minlength=units)[design].astype(float)
        ours, theirs = (lead(alarms.curve(weight)) for alarms in (own, trees))
        for key in ours.keys() & theirs.keys():
            found.setdefault(key, []).append((ours[key], ours[key] - theirs[key]))
    figures: Figures = {}
    lines = []
    for group in ("all", *PRESSURE_CAUSES):
        values = [pair for pair in found.get(f"lead.{group}", []) if np.isfinite(pair).all()]
        if len(values) <= DRAWS / 2:
            continue
        (low, lower), (high, higher) = np.quantile(values, (0.025, 0.975), axis=0)
        head = f"lead.{group}"
        figures |= {f"{head}.low": low, f"{head}.high": high}
        figures |= {f"{head}.gain.low": lower, f"{head}.gain.high": higher}
        lines.append([group, f"{low:.3f} … {high:.3f}", f"{lower:+.3f} … {higher:+.3f}"])
    print("\nShares announced by the network, 95 % over designs, and minus those of trees_history")
    _common.table(["", "network", "minus trees"], lines)
    return {key: float(value) for key, value in figures.items()}


def best(rows: Rows, risk: Array) -> tuple[Alarms, float]:
    """Alarms with the release that announces most, here and now, and that release."""

    def share(curve: Curve) -> float:
        at = curve.quiet()
        return -1.0 if at is None or "all" not in curve.told else float(curve.told["all"][at])

    found = [(Alarms.of(rows, risk, release), release) for release in RELEASES]
    return max(found, key=lambda one: share(one[0].curve()))


def chosen(held: Curve, test: Curve) -> Figures:
    """What the threshold that validation designs choose comes to on the others."""
    at = held.quiet()
    found = {} if at is None else lead_at(test, at)
    if found:
        print("\nThe network with the threshold that is quiet enough on validation designs")
        lines = [[name.partition(".")[2], f"{value:.5f}"] for name, value in found.items()]
        _common.table(["", f"{LEAD} or more cycles before"], lines)
    return {name.replace("lead.", "lead.chosen.", 1): value for name, value in found.items()}


def show_choice(rows: Rows, risk: Array) -> None:
    """Print the share of validation failures announced, by what an alarm may be about."""
    print(
        "\nFailures of validation designs announced by the network in time, at most 1 false alarm"
    )
    print(
        "in 5000 cycles; risk within so many cycles, alarms that end below a share of the threshold"
    )
    lines = []
    for place, horizon in enumerate(HORIZONS):
        curves = [Alarms.of(rows, risk[:, place], release).curve() for release in RELEASES]
        ends = [(curve, curve.quiet()) for curve in curves]
        shares = ["–" if at is None else f"{c.told.get('all', c.false)[at]:.3f}" for c, at in ends]
        lines.append([f"{horizon} cycles", *shares])
    _common.table(["", *(f"{release:g}" for release in RELEASES)], lines)


def show(curves: Mapping[str, Curve], releases: Mapping[str, float]) -> None:
    """Print the shares of failures announced in time."""
    print(
        f"\nFailures announced {LEAD} or more cycles before, at most 1 false alarm in 5000 cycles;"
    )
    print(
        f"alarms on the risk within {AHEAD} cycles, looked at after every cycle; standing: share of"
    )
    print("the cycles at which one stands for nothing")
    groups = list(curves["network"].failures)
    lines = []
    for name, curve in curves.items():
        at = curve.quiet()
        shares = ["–"] * len(groups) if at is None else [f"{curve.told[g][at]:.3f}" for g in groups]
        place = ["–"] * 3
        if at is not None:
            place = [f"{THRESHOLDS[at]:.3f}", f"{1e4 * curve.false[at]:.2f}",
                     f"{curve.standing[at]:.4f}"]  # fmt: skip
        lines.append([name, f"{releases[name]:g}", *place, *shares])
    lines.append(["failures", *[""] * 4, *(str(n) for n in curves["network"].failures.values())])
    head = ["", "ends below", "at risk", "false in 10,000", "standing"]
    _common.table([*head, *groups], lines)
