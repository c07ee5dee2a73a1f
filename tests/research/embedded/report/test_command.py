"""The whole command on a random pipeline, the CLIP that ships, and a handful of crops."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator
from research import markdown
from research.embedded.pack import pack
from research.embedded.report.__main__ import main
from research.embedded.report.sizes import SIZES, Size
from tests.research.embedded.test_segmenter import unlike_crops

TINY = Size(held_out=12, share=0.5, rounds=2, budget={"side": 32, "steps": 2, "batch": 4, "held_out": 8})
CARD = ModelCard(name="Random pipeline", control="palette", native_size=32, steps=2, guidance=1.0)


@pytest.fixture
def models(tiny_pipeline: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(tiny_pipeline, folder / "pipeline")
    for part in ("clip", "segmenter"):
        shutil.copytree(EMBEDDED / part, folder / part)
    (folder / "pipeline" / "card.json").write_text(CARD.model_dump_json())
    for part in ("pipeline", "clip"):
        (folder / part / "card.md").write_text(f"# {part}\n\n{markdown.EMPTY}\n\nSeen:\n")
    return folder


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    for seed, split in enumerate(("train", "test")):
        pack(unlike_crops(16, 64, seed), folder / f"crops-{split}.safetensors")
    return folder


@pytest.mark.slow
def test_the_command_measures_and_fills_readme_and_cards(
    models: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SIZES, "quick", TINY)
    readme, out = tmp_path / "README.md", tmp_path / "out"
    readme.write_text(f"# ours\n\n{markdown.EMPTY}\n\nend\n")
    command = ["--crops", str(crops), "--out", str(out), "--models", str(models), "--size", "quick", "--device", "cpu"]
    assert main([*command, "--readme", str(readme)]) == 0
    table = readme.read_text()
    assert table.startswith(f"# ours\n\n{markdown.START}\nRandom pipeline, 2 steps, guidance 1; 12 held-out crops")
    assert table.endswith(f"{markdown.END}\n\nend\n")
    assert table.count("| KID × 1000, ") == 3
    assert table.count("trained on 8 real crops (50%)") == 3
    assert table.count("and 5 generated ones") + table.count("and 4 generated ones") == 2
    assert "| storage tank | " in (models / "pipeline" / "card.md").read_text()
    assert "zero-shot top-1" in (models / "clip" / "card.md").read_text()
    assert "PSNR" not in (models / "clip" / "card.md").read_text()

    document = json.loads((out / "report.json").read_text())
    assert document["held_out"] == 12
    assert set(document["fidelity"]["real"]) == {"1", "6", "25"}
    assert document["generated"]["count"] == 6
    assert len(list((out / "images").glob("*.png"))) == 12 + 8
    assert (out / "sheets" / "overview.png").is_file()

    # The same command again makes nothing anew and says the same.
    printed = capsys.readouterr().out
    monkeypatch.setattr(ControlNetGenerator, "generate", lambda *_: pytest.fail("generated again"))
    assert main(command) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.slow
def test_without_rounds_no_trainings_are_compared(
    models: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SIZES, "images", TINY.model_copy(update={"rounds": 0}))
    command = ["--crops", str(crops), "--out", str(tmp_path / "out"), "--models", str(models), "--size", "images"]
    assert main([*command, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "| mask fidelity, " in said
    assert "rained on" not in said
    assert not (tmp_path / "out" / "usefulness").exists()


def test_what_is_wrong_is_said_before_the_work(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "clip" / "card.md").write_text("# no markers\n")
    readme = tmp_path / "README.md"
    readme.write_text(markdown.EMPTY)
    assert main(["--crops", str(tmp_path), "--models", str(models), "--readme", str(readme)]) == 2
    assert f"{models / 'clip' / 'card.md'}: the table needs one line" in capsys.readouterr().err
    assert main(["--crops", str(tmp_path), "--models", str(models), "--size", "quick", "--device", "cpu"]) == 2
    assert "crops-train.safetensors: not a crop file" in capsys.readouterr().err
