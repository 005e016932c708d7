"""What the pages say is true: commands, options, imports and links exist, examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer.main

from fadecast.cell.columns import COLUMNS
from fadecast.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md"] + [
    page
    for folder in ("docs", "training", "serving", "mlruns")
    for page in sorted((ROOT / folder).rglob("*.md"))
    if "artifacts" not in page.parts
]
CONFIGS = sorted((ROOT / "training" / "configs").glob("*.yaml"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in the given languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(page: Path, program: str) -> list[list[str]]:
    """The words of every line that calls ``program`` in a page's shell blocks."""
    lines = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0] == program]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def sections(page: Path) -> set[str]:
    """What a link to a heading of a page may say after the #, as GitHub spells it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    text = prose(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, section = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), f"{name_of(page)} links to {target}"
        assert not section or section in sections(linked), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    inline = re.findall(r"`make ([a-z-]+)`", page.read_text())
    for words in [*commands(page, "make"), *([target] for target in inline)]:
        wanted = [word for word in words if not word.startswith("-") and "=" not in word]
        assert set(wanted) <= targets, f"{name_of(page)}: make {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    inline = re.findall(r"`fadecast ([a-z][^`]*)`", page.read_text())
    for words in [*commands(page, "fadecast"), *map(shlex.split, inline)]:
        command, rest = typer.main.get_command(app), list(words)
        while rest and hasattr(command, "commands"):
            name = rest.pop(0)
            if name.startswith("-"):
                rest = [name]
                break
            assert name in command.commands, f"{name_of(page)}: fadecast {' '.join(words)}"
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.split("=")[0] for word in rest if word.startswith("-")}
        assert used <= known | {"--help"}, f"{name_of(page)}: fadecast {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_imports_in_examples_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fadecast"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_modules_that_are_run_exist(page: Path) -> None:
    for module in re.findall(
        r"python -m ((?:training|benchmarks|serving)[\w.]*)", page.read_text()
    ):
        if module != "benchmarks.NAME":
            assert importlib.util.find_spec(module), f"{name_of(page)}: python -m {module}"


def test_examples_in_docstrings_run() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        if ">>>" in path.read_text():
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            result = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
            assert result.attempted
            assert not result.failed, name


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_configuration_loads(path: Path) -> None:
    config = pytest.importorskip("fadecast.learn.config")
    assert config.TrainConfig.from_yaml(path).name


def test_there_are_configurations() -> None:
    assert CONFIGS


def test_the_page_on_data_lists_the_declared_columns() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (yes)? ?\|", page, re.MULTILINE)
    declared = [(c.name, c.unit, "yes" if c.required else "") for c in COLUMNS.values()]
    assert rows == declared
