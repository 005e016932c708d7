"""The page of results tells what was measured: misses and failures included, nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as runner

RESULT = {
    "benchmark": "made_up",
    "figures": {"speed.ratio": 2.123456, "speed.other": 0.5, "count": 7},
    "targets": {"speed.ratio": "at least 3", "speed.other": "at most 1", "size": "at most 9"},
    "met": {"speed.ratio": False, "speed.other": True},
    "machine": {"processor": "made up", "cores": 2},
    "versions": {"python": "3.11"},
}


def test_a_miss_is_told_as_one() -> None:
    page = runner.section("made_up", [], ["a table", json.dumps(RESULT)], RESULT, 0)
    assert "```text\na table\n```" in page
    assert "| `speed.ratio` | at least 3 | 2.123 | **no** |" in page
    assert "| `speed.other` | at most 1 | 0.5 | yes |" in page
    assert "| `size` | at most 9 | – | not measured |" in page
    assert "cores 2" in page


def test_a_failure_leaves_no_figures() -> None:
    page = runner.section("made_up", ["--quick"], ["a table"], None, 1)
    assert "`python -m benchmarks.made_up --quick` failed (exit code 1)" in page
    assert "a table" not in page


@pytest.mark.parametrize("line", ["", "not json", "[]", json.dumps({"benchmark": "made_up"})])
def test_only_a_whole_result_counts(line: str) -> None:
    assert runner.read_result(line) is None
    assert runner.read_result(json.dumps(RESULT)) == RESULT


def test_all_run_and_a_failing_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "good.py").write_text(f"print('fine')\nprint({json.dumps(json.dumps(RESULT))})\n")
    (folder / "poor.py").write_text("raise SystemExit(3)\n")
    (folder / "_helper.py").write_text("raise SystemExit(4)\n")
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.md")
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    with pytest.raises(SystemExit, match="failed: poor"):
        runner.main()
    page = (tmp_path / "results.md").read_text()
    assert page.startswith("# Results")
    assert "## good" in page
    assert "failed (exit code 3)" in page
    assert "_helper" not in page
