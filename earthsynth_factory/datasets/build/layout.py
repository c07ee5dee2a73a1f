"""Every path of an output folder, named once.

OUT/recipe.yaml  run.json  README.md
OUT/shards/00000/{images,masks,instances,rejects}/0000000.png
OUT/shards/00000/masters.tar       images, masks and instances of a packed shard: see `packed`
OUT/shards/00000/samples.jsonl  rejects.jsonl
OUT/shards/00000.json               the commit marker
OUT/work/00000-<owner>/             a shard in progress if several tasks share the folder; who has it: 00000.0.lease
OUT/exports/<kind>/…  OUT/report/…
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

_NUMBER = re.compile(r"[0-9]{5,7}")
"""What a shard's folder is called."""

_MARKER = re.compile(r"[0-9]{5,7}\.json")

_PRIVATE = re.compile(r"([0-9]{5,7})-[0-9a-f-]{1,40}")
"""What the folder of a shard in progress is called, with its owner."""


_REJECTED = re.compile(r"[0-9]{7}_[0-9]{3,}\.png")

WHOLE = "all"
"""Names the lease of who works at all shards of a folder; that of one shard has its number."""


def shard_count(total: int, shard_size: int) -> int:
    """How many shards this many slots take."""
    return -(-total // shard_size)


def shard_slots(number: int, shard_size: int, total: int) -> range:
    """Slot numbers of a shard."""
    return range(number * shard_size, min((number + 1) * shard_size, total))


def shard_key(number: int) -> str:
    """A shard's number as it stands in names."""
    return f"{number:05d}"


def master_names(stem: str) -> tuple[str, str, str]:
    """Paths of a sample's image, mask and instance map in the folder of a shard that is not packed."""
    return f"images/{stem}.png", f"masks/{stem}.png", f"instances/{stem}.png"


@dataclass(frozen=True)
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

    @cached_property
    def dataset(self) -> Path:
        """The output folder that it is part of."""
        return self.root.parent.parent

    @cached_property
    def packed(self) -> Path:
        """The tar of all its samples' files, if it is packed."""
        return self.root / "masters.tar"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders in it; those of masters first, which are missing in a packed one."""
        return tuple(self.root / name for name in ("images", "masks", "instances", "rejects"))

    def masters(self, stem: str) -> tuple[Path, Path, Path]:
        """The three files of a sample of a shard that is not packed; who reads them asks `datasets.build.masters`."""
        image, mask, instances = (self.root / name for name in master_names(stem))
        return image, mask, instances

    def image(self, stem: str) -> Path:
        return self.masters(stem)[0]

    def mask(self, stem: str) -> Path:
        return self.masters(stem)[1]

    def instances(self, stem: str) -> Path:
        return self.masters(stem)[2]

    def rejected_image(self, stem: str, attempt: int) -> Path:
        return self.root / "rejects" / f"{stem}_{attempt:03d}.png"

    def rejected_images(self) -> list[Path]:
        """Images of rejected candidates that were kept. Links are none."""
        found = (self.root / "rejects").glob("[0-9]*_[0-9]*.png")
        return sorted(path for path in found if _REJECTED.fullmatch(path.name) and not path.is_symlink())


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
    def work(self) -> Path:
        """What tasks that share the folder work at; it goes when the build is finished."""
        return self.root / "work"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def shard(self, number: int) -> ShardLayout:
        return _shard(self.root, number)

    def private_shard(self, number: int, owner: str) -> ShardLayout:
        """A shard as one task makes it for itself, before it has its place among the others."""
        return ShardLayout(self.work / f"{shard_key(number)}-{owner}")

    def private_shards(self) -> dict[int, list[ShardLayout]]:
        """Shards in progress that tasks have or left behind, by number. Links are none."""
        found: dict[int, list[ShardLayout]] = {}
        for path in sorted(self.work.iterdir()) if self.work.is_dir() else ():
            match = _PRIVATE.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                found.setdefault(int(match[1]), []).append(ShardLayout(path))
        return found

    def markers(self) -> int:
        """How many shards have a commit marker, by one listing."""
        return sum(_MARKER.fullmatch(path.name) is not None for path in self.shards.glob("*.json"))

    def present_shards(self) -> list[ShardLayout]:
        """Shard folders that exist, ascending by number."""
        if not self.shards.is_dir():
            return []
        folders = (path for path in self.shards.iterdir() if path.is_dir() and _NUMBER.fullmatch(path.name))
        return [ShardLayout(path) for path in sorted(folders, key=lambda path: int(path.name))]


@lru_cache(maxsize=16)
def _shard(root: Path, number: int) -> ShardLayout:
    """Kept, since a reader asks for one shard several times an image, and putting paths together takes longer than a look."""
    return ShardLayout(BuildLayout(root).shards / shard_key(number))
