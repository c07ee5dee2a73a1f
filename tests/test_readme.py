"""READMEs, commands, recipes and files agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from earthsynth_factory.cli import app
from earthsynth_factory.recipe.load import parse_recipe
from tests.reference import NAME, reference

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ROOMS = ("recipes", "earthsynth_factory", "research", "tests")
BOOKS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(found for room in ROOMS for found in (ROOT / room).rglob("*.md"))]
    if not {"assets", "data"} & set(path.parts)
)
"""Everything that a reader is led to."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _prose(path: Path) -> str:
    """The text without fenced code, whose brackets are no links."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def _headings(path: Path) -> set[str]:
    """Their anchors, as they are made on the web."""
    titles = re.findall(r"^#+ (.*)$", _prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands() -> Iterator[str]:
    for path in BOOKS:
        yield from re.findall(r"(?:^    |`)earthsynth-factory ([\w-]+)", path.read_text(), flags=re.MULTILINE)


def test_the_first_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_recipe_shown_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "recipes/README.md").read_text(), flags=re.DOTALL)
    assert parse_recipe(text, "README.md").images == 590


def test_every_key_is_in_the_reference() -> None:
    text = (ROOT / "recipes/README.md").read_text()
    told = text.split(f"<!-- {NAME} -->\n")[1].split(f"\n<!-- /{NAME} -->")[0]
    assert told == reference(), "python -m tests.reference writes it anew"


def test_every_recipe_is_listed_and_opens_with_what_it_makes() -> None:
    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    listed = re.findall(r"^\| `(\w+\.yaml)` \|", (ROOT / "recipes/README.md").read_text(), flags=re.MULTILINE)
    assert {path.name for path in recipes} == set(listed)
    for path in recipes:
        head = path.read_text().split("\n\n")[0]
        assert head.startswith("# "), path
        assert "earthsynth-factory" in head, f"{path} does not say its command"


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_every_command_shown_exists(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("path", BOOKS, ids=_name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = unquote(target).partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), f"{_name(path)}: {target}"
        assert not anchor or anchor in _headings(found), f"{_name(path)}: {target}"


@pytest.mark.parametrize("path", BOOKS, ids=_name)
def test_every_file_named_exists(path: Path) -> None:
    """Names with a folder in front: from the checkout, from the package, or from where the text lies."""
    for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md))`", _prose(path)):
        bases = (ROOT, ROOT / "earthsynth_factory", path.parent)
        assert any((base / name).is_file() for base in bases), f"{_name(path)}: {name}"


@pytest.mark.parametrize("path", BOOKS, ids=_name)
def test_every_module_that_is_run_exists(path: Path) -> None:
    for module in re.findall(r"python -m ((?:tests|research|earthsynth_factory)[\w.]*)", path.read_text()):
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{_name(path)}: {module}"


@pytest.mark.parametrize("path", BOOKS, ids=_name)
def test_every_make_target_shown_exists(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([\w-]+)", path.read_text(), flags=re.MULTILINE)) <= targets


def test_every_folder_of_the_package_is_in_the_picture_of_the_house() -> None:
    folders = {path.parent.name for path in (ROOT / "earthsynth_factory").glob("*/__init__.py")}
    assert folders == set(re.findall(r"^      (\w+)/ ", README, flags=re.MULTILINE))
