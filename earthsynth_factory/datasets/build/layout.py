"""Every path of an output folder, named once.

OUT/recipe.yaml  run.json  README.md
OUT/shards/00000/{images,masks,instances,rejects}/0000000.png
OUT/shards/00000/samples.jsonl  rejects.jsonl
OUT/shards/00000.json               the commit marker
OUT/exports/<kind>/…  OUT/report/…
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"[0-9]{5,7}")
"""What a shard's folder is called."""


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """The paths of one shard. `root` is its folder."""

    root: Path

    @property
    def samples(self) -> Path:
        return self.root / "samples.jsonl"

    @property
    def rejects(self) -> Path:
        return self.root / "rejects.jsonl"

    @property
    def earlier_samples(self) -> Path:
        """Lines of `samples` that wait to be recorded again behind slots that go on; only in a shard that was reopened."""
        return self.root / "earlier-samples.jsonl"

    @property
    def earlier_rejects(self) -> Path:
        """As `earlier_samples`, of `rejects`."""
        return self.root / "earlier-rejects.jsonl"

    @property
    def marker(self) -> Path:
        return self.root.with_suffix(".json")

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders in it."""
        return tuple(self.root / name for name in ("images", "masks", "instances", "rejects"))

    def masters(self, stem: str) -> tuple[Path, Path, Path]:
        """The three files of a sample."""
        return self.image(stem), self.mask(stem), self.instances(stem)

    def has(self, stem: str) -> bool:
        """Whether the three files of a sample are there and hold something."""
        return all(path.is_file() and path.stat().st_size for path in self.masters(stem))

    def image(self, stem: str) -> Path:
        return self.root / "images" / f"{stem}.png"

    def mask(self, stem: str) -> Path:
        return self.root / "masks" / f"{stem}.png"

    def instances(self, stem: str) -> Path:
        return self.root / "instances" / f"{stem}.png"

    def rejected_image(self, stem: str, attempt: int) -> Path:
        return self.root / "rejects" / f"{stem}_{attempt:03d}.png"


@dataclass(frozen=True, slots=True)
class BuildLayout:
    """The paths of one output folder."""

    root: Path

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def sessions(self) -> Path:
        return self.root / "sessions.jsonl"

    @property
    def log(self) -> Path:
        """Warnings of ours and of the libraries; only there if there were any."""
        return self.root / "build.log"

    @property
    def card(self) -> Path:
        return self.root / "README.md"

    @property
    def doubts(self) -> Path:
        """What makes the data poor, as a JSON list of sentences."""
        return self.root / "doubts.json"

    @property
    def shards(self) -> Path:
        return self.root / "shards"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def shard(self, number: int) -> ShardLayout:
        return ShardLayout(self.shards / f"{number:05d}")

    def present_shards(self) -> list[ShardLayout]:
        """Shard folders that exist, ascending by number."""
        if not self.shards.is_dir():
            return []
        folders = (path for path in self.shards.iterdir() if path.is_dir() and _NUMBER.fullmatch(path.name))
        return [ShardLayout(path) for path in sorted(folders, key=lambda path: int(path.name))]
