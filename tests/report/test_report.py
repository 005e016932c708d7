"""The page: what it holds, that it needs nothing else, and how a real browser likes it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from fadecast.cell.record import CellMetadata, CellRecord
from fadecast.cell.store import Store
from fadecast.errors import CheckError, ConfigError, DataError, StoreError
from fadecast.forecast.evaluate import evaluate
from fadecast.report import report
from fadecast.report.report import write_report
from fadecast.report.style import CAUSE_COLOURS
from tests.forecast.fleet import Fleet, make_fleet
from tests.report.made_up import BUNDLE, write_scores, write_store

FLEET = make_fleet(14, seed=3, every=2)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scores(FLEET, tmp_path_factory.mktemp("scores") / "scores.parquet")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(FLEET, tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def judged(scores: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(scores, tmp_path_factory.mktemp("page") / "judged.html", store=store)


@pytest.fixture(scope="module")
def alone(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(scores, tmp_path_factory.mktemp("page") / "alone.html", title="A <b> fleet")


def markup(page: Path) -> str:
    """The page without plotly.js."""
    text = page.read_text()
    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def held(page: Path) -> dict[str, dict[str, object]]:
    found = re.search(r'id="data">(.*?)</script>', markup(page), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_the_page_shows_what_the_evaluation_found(judged: Path) -> None:
    text = markup(judged)
    card = evaluate(*FLEET)
    figures = card.figures
    failed = sum(life.failed for life in FLEET.lives.values())
    assert f"14 cells · {sum(map(len, FLEET.forecasts.values())):,} forecasts" in text
    assert f"<b>{failed}</b><span>cells failed</span>" in text
    assert f"<b>{figures['any_cycle.rel_error']:.1%}</b><span>mean error</span>" in text
    assert f"<b>{figures['any_cycle.coverage_90']:.1%}</b>" in text
    assert f"<td>{figures['at_100.rmse']:.0f}</td>" in text
    worst = card.worst(1)[0]
    table = text[text.index('id="worst"') :]
    assert table.index(worst.cell_id) == min(table.index(c.cell_id) for c in card.worst(14))
    assert BUNDLE in text


def test_without_a_store_nothing_is_judged(alone: Path, judged: Path) -> None:
    text = markup(alone)
    assert "what became of the cells is not known here" in text
    assert 'id="accuracy"' not in text
    assert "cells failed" not in text
    expected = sum(float(f.risk[-1, -1, 1]) for f in FLEET.forecasts.values())
    assert f"<b>{expected:,.1f}</b><span>failures expected</span>" in text
    assert set(held(judged)["figures"]) - set(held(alone)["figures"]) == {"calibration", "life"}


def test_names_and_titles_cannot_break_the_page(alone: Path) -> None:
    text = markup(alone)
    assert "<h1>A &lt;b&gt; fleet</h1>" in text
    assert "<" not in re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]  # type: ignore[index]


def test_no_name_of_a_place_comes_twice(judged: Path) -> None:
    names = re.findall(r'\bid="([^"]+)"', markup(judged))
    assert len(set(names)) == len(names)


def test_every_place_has_its_figure(judged: Path, alone: Path) -> None:
    for page in (judged, alone):
        places = re.findall(r'id="plot-([\w-]+)"', markup(page))
        assert sorted(places) == sorted(held(page)["figures"])


def test_the_page_refers_to_nothing_outside(judged: Path) -> None:
    text = markup(judged)
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)[^"' >]+""", text)
    assert "default-src 'none'" in text


def test_the_same_scores_give_the_same_page(scores: Path, store: Path, judged: Path) -> None:
    again = write_report(scores, judged.with_name("again.html"), store=store)
    assert again.read_bytes() == judged.read_bytes()


def test_two_hundred_cells_stay_under_six_megabytes(tmp_path: Path) -> None:
    fleet = make_fleet(230, seed=6, every=4)
    scores = write_scores(fleet, tmp_path / "scores.parquet")
    page = write_report(scores, tmp_path / "page.html", store=write_store(fleet, tmp_path / "s"))
    assert page.stat().st_size < 6e6
    assert "200 of 230 cells" in markup(page)
    assert len(held(page)["cells"]) == 200


def test_one_cell_and_cells_without_a_valid_forecast(tmp_path: Path) -> None:
    name, forecast = next(iter(FLEET.forecasts.items()))
    mute = forecast[:4]
    object.__setattr__(mute, "valid", np.zeros(4, bool))
    fleet = Fleet(
        {name: forecast, "mute": mute}, {name: FLEET.lives[name], "mute": FLEET.lives[name]}
    )
    for lonely in (Fleet({name: forecast}, fleet.lives), fleet, Fleet({"mute": mute}, fleet.lives)):
        scores = write_scores(lonely, tmp_path / "scores.parquet")
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        store = write_store(lonely, tmp_path / "store")
        for known in (store, None):
            assert write_report(scores, tmp_path / "page.html", store=known).stat().st_size > 1e6


def test_time_series_are_summarised_for_their_life(tmp_path: Path) -> None:
    from tests.bundles import made_up_record

    record = made_up_record("cell-001", cycles=8)
    assert record.samples is not None
    Store(tmp_path / "store", create=True).write(
        CellRecord(CellMetadata(record.spec, "made-up"), samples=record.samples)
    )
    fleet = Fleet({"cell-001": FLEET.forecasts["cell-001"][:8]}, {})
    scores = write_scores(fleet, tmp_path / "scores.parquet")
    page = write_report(scores, tmp_path / "page.html", store=tmp_path / "store")
    assert "1 cell · 8 forecasts" in markup(page)


def test_bad_input_is_refused_and_leaves_the_old_page(
    scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")
    other = write_store(Fleet(dict(list(FLEET.forecasts.items())[3:]), FLEET.lives), tmp_path / "s")
    with pytest.raises(DataError, match="3 of 14 scored cells are not in it: cell-001, cell-002"):
        write_report(scores, out, store=other)
    with pytest.raises(StoreError, match="no store here"):
        write_report(scores, out, store=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nowhere does not exist"):
        write_report(scores, tmp_path / "nowhere" / "page.html")

    def broken(*_: object) -> str:
        raise CheckError("made to fail")

    monkeypatch.setattr(report, "_page", broken)
    with pytest.raises(CheckError):
        write_report(scores, out)
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "s"]


def test_a_killed_write_leaves_the_old_page(
    alone: Path, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    before = alone.read_bytes()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_report(scores, alone)
    assert alone.read_bytes() == before
    assert [p.name for p in alone.parent.iterdir()] == [alone.name]


# -- a real browser --------------------------------------------------------------------------------

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
in_browser = pytest.mark.skipif(
    not BROWSER, reason="no chromium here (Debian: apt install chromium)"
)

PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const picker = document.getElementById("cell");
  const before = document.querySelector("#plot-one-fan .scatterlayer").innerHTML;
  picker.selectedIndex = (picker.selectedIndex + 1) % picker.length;
  picker.dispatchEvent(new Event("change"));
  setTimeout(() => {
    const after = document.querySelector("#plot-one-fan .scatterlayer").innerHTML;
    const found = {
      drawn: document.documentElement.dataset.drawn,
      lines: [...document.querySelectorAll(".plot")].map((place) => [
        place.id, place.querySelectorAll(".trace path, .point path").length]),
      loaded: performance.getEntriesByType("resource").map((entry) => entry.name),
      changed: before !== after, cell: picker.value,
      fate: document.getElementById("fate").textContent,
      overflow: document.documentElement.scrollWidth > innerWidth,
    };
    const note = document.createElement("script");
    note.type = "application/json";
    note.id = "found";
    note.textContent = JSON.stringify(found);
    document.body.append(note);
  }, 500);
}, 500));
</script>"""


def browse(page: Path, tmp_path: Path, *options: str) -> tuple[str, list[str]]:
    """What headless Chromium prints for a page, and what its console said."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=10000", "--enable-logging=stderr", *options, page.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def probed(page: Path, tmp_path: Path, extra: str = "") -> Path:
    copy = tmp_path / "probed.html"
    copy.write_text(page.read_text().replace("</body>", f"{extra}{PROBE}</body>"))
    return copy


@in_browser
@pytest.mark.parametrize(
    ("kind", "size"), [("judged", "1366,900"), ("judged", "420,900"), ("alone", "1366,900")]
)
def test_a_browser_draws_it_all(
    kind: str, size: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page: Path = request.getfixturevalue(kind)
    dom, console = browse(probed(page, tmp_path), tmp_path, "--dump-dom", f"--window-size={size}")
    assert console == []
    found = json.loads(re.search(r'id="found">(.*?)</script>', dom)[1])  # type: ignore[index]
    assert int(found["drawn"]) == len(held(page)["figures"]) == len(found["lines"])
    assert all(count > 0 for _, count in found["lines"]), found["lines"]
    assert found["loaded"] == []
    assert found["changed"]
    assert found["fate"] == held(page)["cells"][found["cell"]]["fate"]  # type: ignore[index]
    assert not found["overflow"]


@in_browser
def test_the_probe_would_see_a_request_and_an_error(judged: Path, tmp_path: Path) -> None:
    extra = '<img src="http://fadecast.invalid/x.png"><script>nothing.here()</script>'
    _, console = browse(probed(judged, tmp_path, extra), tmp_path, "--dump-dom")
    assert any("Content Security Policy" in line for line in console)
    assert any("nothing is not defined" in line for line in console)


@in_browser
def test_it_can_be_photographed(judged: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    photo = tmp_path / "page.png"
    _, console = browse(judged, tmp_path, f"--screenshot={photo}", "--window-size=1366,3600")
    assert console == []
    seen = {colour: n for n, colour in image.open(photo).convert("RGB").getcolors(1 << 24)}
    filled = sum(seen.get(tuple(bytes.fromhex(c[1:])), 0) for c in CAUSE_COLOURS.values())
    assert filled > 5000  # pixels; the dots of keys and tables alone are 1500


@pytest.mark.slow
@in_browser
def test_it_prints_on_a_few_pages(judged: Path, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    browse(judged, tmp_path, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 6
