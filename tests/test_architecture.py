"""The shape of the project, held by machine: layers, light imports, docstrings, sizes, safety."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fadecast

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CODE = [
    path
    for folder in ("src", "training", "serving", "benchmarks", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MODULES = sorted(m.name for m in pkgutil.walk_packages(fadecast.__path__, "fadecast."))
HEAVY = {"torch", "sklearn", "mlflow", "lightning", "pandas", "polars", "onnx", "plotly", "scipy"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """The absolute names a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def test_import_contracts() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_training_and_serving_meet_only_at_a_bundle() -> None:
    for folder, other in (("training", "serving"), ("serving", "training")):
        for path in (ROOT / folder).rglob("*.py"):
            roots = {name.split(".")[0] for name in imported(path)}
            assert other not in roots, f"{name_of(path)} imports {other}"


@pytest.mark.parametrize(
    "module", ["fadecast.runtime", "fadecast.scoring", "fadecast.cell", "fadecast.cli"]
)
def test_import_is_light(module: str) -> None:
    code = (
        f"import sys, pkgutil, {module} as m\n"
        "for found in pkgutil.walk_packages(getattr(m, '__path__', []), m.__name__ + '.'):\n"
        "    if found.name != 'fadecast.scoring.ray': __import__(found.name)\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not HEAVY & set(run.stdout.split())


def test_the_runtime_needs_numpy_and_onnxruntime_alone() -> None:
    code = (
        "import sys, pkgutil, fadecast.runtime as m\n"
        "for found in pkgutil.iter_modules(m.__path__, m.__name__ + '.'): __import__(found.name)\n"
        "print('pyarrow' in sys.modules, 'rich' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", MODULES)
def test_module_explains_itself_and_keeps_its_promises(name: str) -> None:
    if name == "fadecast.__main__":
        return
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.__all__ names {public}, which is not there"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_module_is_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 350, f"{name_of(path)} has {lines} lines: where is its seam?"


UNSAFE = re.compile(
    r"\bpickle\.loads?\(|\bUnpickler\(|allow_pickle=True|weights_only=False|joblib\.load\(|"
    r"yaml\.(unsafe_)?load\(|\beval\(|\bexec\(|shell=True"
)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_hostile_can_run(path: Path) -> None:
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNSAFE.search(line) and ".eval(" not in line
    ]
    assert not found, f"{name_of(path)} {found}"


# Written in pieces, so that this file does not find itself.
STRAY = re.compile(
    "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"])
    + r"|(?<![\w.~])/(?:home|root|work|Users|tmp)/\w"
)
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".txt", ".cpp", ".h", ".svg", ".json", ""}


def test_tracked_files_hold_no_loose_ends() -> None:
    """No unfinished work, no path of one machine, nothing large."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file():
            continue
        assert path.stat().st_size < 1_000_000, f"{name} is too large to track"
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not STRAY.search(line), f"{name}:{number}: {line.strip()[:100]}"
