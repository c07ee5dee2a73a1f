"""The README, the commands and the recipes agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earthsynth_factory.cli import app
from earthsynth_factory.recipe.load import parse_recipe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_recipe_shown_is_one() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert parse_recipe(text, "README.md").images == 590


def test_every_recipe_is_listed_and_opens_with_what_it_makes() -> None:
    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert {path.name for path in recipes} == set(re.findall(r"^\| `(\w+\.yaml)` \|", README, flags=re.MULTILINE))
    for path in recipes:
        head = path.read_text().split("\n\n")[0]
        assert head.startswith("# "), path
        assert "earthsynth-factory" in head, f"{path} does not say its command"


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"(?:^    |`)earthsynth-factory (\w+)", README, flags=re.MULTILINE)))
)
def test_every_command_shown_exists(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_folder_of_the_package_is_in_the_picture_of_the_house() -> None:
    folders = {path.parent.name for path in (ROOT / "earthsynth_factory").glob("*/__init__.py")}
    assert folders == set(re.findall(r"^      (\w+)/ ", README, flags=re.MULTILINE))
