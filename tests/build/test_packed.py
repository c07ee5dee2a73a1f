"""A packed shard is one tar: whoever reads the dataset does not know, and a kill costs nothing."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from earthsynth_factory.build import masters_writer, packing
from earthsynth_factory.build.run import build
from earthsynth_factory.build.verify import damages
from earthsynth_factory.cli import app
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.packed import member_names, read_index, sealing
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import to_line
from earthsynth_factory.errors import DiskError, SourceError, StoreError
from earthsynth_factory.exports.base import KINDS
from earthsynth_factory.io import tar_members
from earthsynth_factory.recipe.load import load_recipe, parse_recipe
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe
from tests.build.test_kill import KILLS, _seconds, killed_until_done
from tests.build.test_topup import FUSSY, contrast_that_half_pass

PACKED = RECIPE + "store: {pack: true}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and what it makes in loose files and packed."""
    folder = tmp_path_factory.mktemp("made")
    recipe = write_recipe(folder, PACKED)
    run_build(recipe, folder / "loose", "store.pack=false")
    run_build(recipe, folder / "packed")
    return folder


@pytest.fixture
def both(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The two builds, and the recipe beside them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "loose", tmp_path / "packed"


@pytest.fixture
def packed(both: tuple[Path, Path]) -> tuple[Path, Path]:
    """The recipe, and what it makes packed."""
    return both[1].parent / "recipe.yaml", both[1]


def command(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def test_readers_see_what_they_see_in_loose_files(both: tuple[Path, Path]) -> None:
    loose, packed = map(BuildReader, both)
    for one, other in zip(loose.samples(), packed.samples(), strict=True):
        assert to_line(one) == to_line(other)
        assert loose.stamp(one) == packed.stamp(other)
        assert loose.image_file(one).read_bytes() == packed.image_file(other).read_bytes()
        for read in ("image", "mask", "instances"):
            np.testing.assert_array_equal(getattr(loose, read)(one), getattr(packed, read)(other))
    for number in range(loose.shards[1]):
        ours = packed.layout.shard(number)
        assert ours.marker.read_bytes() == loose.layout.shard(number).marker.read_bytes()
        assert {path.name for path in ours.root.iterdir()} - {".lock"} == {
            "masters.tar",
            "samples.jsonl",
            "rejects.jsonl",
        }


def test_other_readers_of_tars_read_it(both: tuple[Path, Path]) -> None:
    webdataset = pytest.importorskip("webdataset")
    loose, packed = map(BuildReader, both)
    shard, stems = packed.layout.shard(1), [f"{slot:07d}" for slot in range(7, 14)]
    with tarfile.open(shard.packed) as tar:
        assert tar.getnames() == [*(name for stem in stems for name in member_names(stem)), "__index__"]
        assert all(member.isfile() and member.mtime == member.uid == 0 for member in tar)
    found = list(webdataset.WebDataset(str(shard.packed), shardshuffle=False))
    assert [sample["__key__"] for sample in found] == stems
    for sample, stem in zip(found, stems, strict=True):
        files = [path.read_bytes() for path in loose.layout.shard(1).masters(stem)]
        assert [sample["png"], sample["mask.png"], sample["instances.png"]] == files


def test_a_packed_build_survives_kills(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, PACKED)
    seconds = _seconds(recipe, tmp_path / "whole")
    died = killed_until_done(recipe, tmp_path / "killed", KILLS, seconds / 4)
    assert died >= KILLS / 2, "the kills came too late to mean anything"
    assert tree_hash(tmp_path / "killed") == tree_hash(tmp_path / "whole")


@pytest.mark.parametrize("torn", [b"", b"\0" * 5000, b"0000003.png" + b"\0" * 700], ids=["none", "zeros", "header"])
@pytest.mark.parametrize("recorded", [0, 3])
def test_a_torn_end_of_the_tar_is_made_again(packed: tuple[Path, Path], torn: bytes, recorded: int) -> None:
    recipe, out = packed
    before, shard = tree_hash(out), BuildLayout(out).shard(1)
    end = list(read_index(shard.packed))[3].start
    shard.packed.write_bytes(shard.packed.read_bytes()[: end + 100 * bool(torn)] + torn)
    shard.samples.write_bytes(b"".join(shard.samples.read_bytes().splitlines(True)[:recorded]))
    shard.marker.unlink()
    run_build(recipe, out)
    assert tree_hash(out) == before


def test_raised_attempts_and_counts_go_on_in_a_packed_build(tmp_path: Path) -> None:
    text = FUSSY.replace("CONTRAST", f"{contrast_that_half_pass(tmp_path):.6f}") + "store: {pack: true}\n"
    path, out = write_recipe(tmp_path, text), tmp_path / "out"
    first = run_build(path, out, "rfilter.max_attempts=2")
    assert 0 < first.accepted < first.asked
    shutil.copytree(out, tmp_path / "linked", copy_function=lambda one, other: Path(other).hardlink_to(one))
    linked = tree_hash(tmp_path / "linked" / "shards")
    kept = {record.slot: BuildReader(out).image_file(record).read_bytes() for record in BuildReader(out).samples()}
    run_build(path, out, "rfilter.max_attempts=12")
    run_build(path, tmp_path / "straight", "rfilter.max_attempts=12")
    assert tree_hash(out) == tree_hash(tmp_path / "straight")
    found = {record.slot: BuildReader(out).image_file(record).read_bytes() for record in BuildReader(out).samples()}
    assert kept.items() < found.items()
    assert tree_hash(tmp_path / "linked" / "shards") == linked, "a tar that has other names is not written into"
    run_build(path, out, "rfilter.max_attempts=12", "categories.2.count=9")
    assert [layout.packed.is_file() for layout in BuildLayout(out).present_shards()] == [True] * 5
    assert not list(damages(BuildReader(out), digests=True))


def _delete(tar: Path) -> None:
    tar.unlink()


def _cut(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[:-3000])


def _change_index(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes().replace(b"[[0,", b"[[1,"))


def _change_header(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes().replace(b"0000003.mask.png", b"0000009.mask.png", 1))


def _empty(tar: Path) -> None:
    tar.write_bytes(b"")


HARMS = (_delete, _cut, _change_index, _change_header, _empty)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__.strip("_"))
def test_what_was_lost_is_seen_and_made_again(packed: tuple[Path, Path], harm: Callable[[Path], None]) -> None:
    recipe, out = packed
    before = tree_hash(out)
    harm(BuildLayout(out).shard(0).packed)
    assert "shard 00000" in command("status", out, "--verify", code=2)
    result = build(load_recipe(recipe), out, verify=True)
    assert [note for note in result.notes if note.startswith("shard 00000: ")]
    assert tree_hash(out) == before


def test_a_changed_pixel_is_seen_by_its_digest(packed: tuple[Path, Path]) -> None:
    recipe, out = packed
    before, tar = tree_hash(out), BuildLayout(out).shard(0).packed
    sample = read_index(tar).find(3)
    assert sample
    data = bytearray(tar.read_bytes())
    data[sample.members[1].start + 512 + sample.sizes[1] - 20] ^= 1
    tar.write_bytes(data)
    assert not list(damages(BuildReader(out)))
    assert "contents have changed" in command("status", out, "--verify", code=2)
    build(load_recipe(recipe), out, verify=True)
    assert tree_hash(out) == before


def test_packing_and_unpacking_make_what_a_build_makes(both: tuple[Path, Path]) -> None:
    loose, packed = both
    hashes = [tree_hash(out / "shards") for out in both]
    outcome = tree_hash(packed, leave_out=("shards", "run.json"))
    assert "5 shards are packed now" in command("pack", loose)
    assert "nothing to do" in command("pack", loose)
    assert "5 shards are loose files now" in command("unpack", packed)
    assert [tree_hash(out / "shards") for out in both] == hashes[::-1]
    run_build(loose.parent / "recipe.yaml", packed)  # there is nothing left to make
    assert tree_hash(packed, leave_out=("shards", "run.json")) == outcome
    assert tree_hash(packed / "shards") == hashes[0]


@pytest.mark.parametrize("steps", range(0, 10, 3))
def test_packing_that_is_killed_goes_on(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    left = [steps]

    def step(*_: object, **__: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    for out, change in zip(both, (packing.pack_shards, packing.unpack_shards), strict=True):
        left[0] = steps
        with monkeypatch.context() as patch:
            for name in ("remove", "flush", "packed"):
                patch.setattr(packing, name, _first(step, getattr(packing, name)))
            with pytest.raises(KeyboardInterrupt):
                change(out)
        assert not list(damages(BuildReader(out), digests=True))
    hashes = [tree_hash(out / "shards") for out in both]
    packing.pack_shards(both[0])
    packing.pack_shards(both[1])
    assert tree_hash(both[0] / "shards") == tree_hash(both[1] / "shards") not in hashes


def test_packing_leaves_what_is_not_ours_and_sweeps_what_a_kill_left(both: tuple[Path, Path]) -> None:
    loose, packed = both
    for out, change in zip(both, ("pack", "unpack"), strict=True):
        shard = BuildLayout(out).shard(1)
        notes = shard.image("notes").with_suffix(".txt")
        notes.parent.mkdir(exist_ok=True)
        notes.write_text("mine")
        for left in (shard.root / ".1.esf-tmp", notes.with_name(".2.esf-tmp")):
            left.write_bytes(b"half")
        command(change, out)
        assert "nothing to do" in command(change, out)
        assert notes.read_text() == "mine" and not list(out.rglob("*.esf-tmp"))
        notes.unlink()
    command("pack", loose)  # the folder that is empty now goes
    command("pack", packed)
    assert not list(loose.glob("shards/*/images"))
    assert tree_hash(loose / "shards") == tree_hash(packed / "shards")


def _first(step: Callable[..., None], then: Callable[..., object]) -> Callable[..., object]:
    def both(*arguments: object, **options: object) -> object:
        step()
        return then(*arguments, **options)

    return both


def test_a_damaged_shard_is_not_packed(both: tuple[Path, Path]) -> None:
    loose, _ = both
    mask = BuildLayout(loose).shard(2).mask("0000015")
    mask.write_bytes(mask.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="00002: files whose contents have changed; give the build command again"):
        packing.pack_shards(loose)
    assert mask.is_file()


def test_a_shard_that_changes_while_it_is_made_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masters_writer, "_in_order", lambda _: False)
    recipe, out = write_recipe(tmp_path, PACKED), tmp_path / "out"

    def spoil(_: object) -> None:
        tar = BuildLayout(out).shard(0).packed
        if tar.is_file() and read_index(tar).find(2):
            tar.write_bytes(tar.read_bytes().replace(b"0000002.png", b"0000002.jpg"))

    with pytest.raises(DiskError, match="changed while it was made"):
        build(load_recipe(recipe), out, watch=spoil)
    monkeypatch.undo()
    assert run_build(recipe, out).accepted == 32


def _member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


HOSTILE = {
    "a link": _member("0000000.png", b"", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": _member("0000000.png", b"", tarfile.LNKTYPE, "../../run.json"),
    "a way out": _member("../../0000000.png", b"x" * 600),
    "another size": tar_members.header("0000000.png", 1 << 29) + b"x" * 600,
    "a device": _member("0000000.png", b"", tarfile.CHRTYPE),
}


@pytest.mark.parametrize("bad", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("indexed", [True, False])
def test_members_that_are_none_of_ours_are_not_read(packed: tuple[Path, Path], bad: bytes, indexed: bool) -> None:
    _, out = packed
    tar = BuildLayout(out).shard(0).packed
    samples = list(read_index(tar))
    data = tar.read_bytes()[: samples[-1].end]
    tar.write_bytes(bad + data[len(bad) :] + (sealing(samples) if indexed else b""))
    first = next(BuildReader(out).samples())
    with pytest.raises(SourceError, match=r"masters\.tar/0000000\.png: the tar holds|0000000\.png: missing"):
        BuildReader(out).image(first)
    assert "shard 00000" in command("status", out, "--verify", code=2)


LIES = (
    b"[[0,1,1,1e9]]",
    b"[[0,-1,1,1]]",
    b"[[0,1,1]]",
    b'{"a":1}',
    b"[[0,1,1,0.5]]",
    b"[[true,[],1,1]]",
    b"[" * 5000,
    b"[[0,1,1,1],[0,1,1,1]]",
)


@pytest.mark.parametrize("rows", LIES, ids=range(len(LIES)))
def test_an_index_that_lies_is_not_believed(packed: tuple[Path, Path], rows: bytes) -> None:
    _, out = packed
    tar = BuildLayout(out).shard(0).packed
    samples = list(read_index(tar))
    data = tar.read_bytes()[: samples[-1].end]
    length = -(-(len(rows) + 16) // 512) * 512
    tar.write_bytes(data + tar_members.packed("__index__", rows.ljust(length - 16) + b"%015d\n" % length) + bytes(1024))
    index = read_index(tar)
    assert not index.sealed
    assert list(index) == samples


def test_a_tar_that_is_a_link_out_of_the_build_is_refused(packed: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = packed
    tar = BuildLayout(out).shard(0).packed
    tar.rename(tmp_path / "elsewhere.tar")
    tar.symlink_to(tmp_path / "elsewhere.tar")
    first = next(BuildReader(out).samples())
    for read in (BuildReader(out).image, BuildReader(out).mask, BuildReader(out).image_file):
        with pytest.raises(SourceError, match="leads out of"):
            read(first)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_export_is_that_of_loose_files(both: tuple[Path, Path], kind: str) -> None:
    for out in both:
        command("export", out, "-f", kind, "-o", out.parent / f"{out.name}-{kind}")
    loose, packed = (tree_hash(out.parent / f"{out.name}-{kind}", leave_out=(".", f"{kind}/.")) for out in both)
    assert loose == packed


def test_split_merge_stats_preview_report_and_remake_read_it(both: tuple[Path, Path]) -> None:
    loose, packed = both
    for out in both:
        command("split", out, "--ratios", "0.5,0.5", "--out", f"{out}-split")
        command("merge", out, f"{out}-split", "--out", f"{out}-merged")
        command("stats", out, "-o", out / "s.png")
        command("preview", out, "-o", out / "p.png")
        command("report", out, "-o", out / "r.html")
        command("remake", out, "3", "-o", out / "made", "--base", out.parent)
    for name in ("split", "merged"):
        hidden = (".", "dataset.json")
        assert tree_hash(Path(f"{loose}-{name}"), hidden) == tree_hash(Path(f"{packed}-{name}"), hidden)
    for name in ("s.png", "p.png"):
        assert (loose / name).read_bytes() == (packed / name).read_bytes()
    assert len((loose / "r.html").read_bytes()) == pytest.approx(len((packed / "r.html").read_bytes()), rel=0.01)
    record = next(record for record in BuildReader(packed).samples() if record.slot == 3)
    [image] = (path for path in (packed / "made").iterdir() if path.stem.count("_") == 1)
    assert image.read_bytes() == BuildReader(packed).image_file(record).read_bytes()


@pytest.mark.parametrize("how", ["link", "copy"])
def test_filter_leaves_the_same_images_in_a_packed_build(both: tuple[Path, Path], how: str) -> None:
    config = both[0].parent / "filter.yaml"
    config.write_text("rules: [{kind: image_quality, min_sharpness: 3.5}]\n")
    kept = []
    for out in both:
        target = Path(f"{out}-filtered")
        command("filter", out, "--out", target, "--config", config, "--apply", how)
        [run] = target.rglob("run.json")
        store = BuildReader(run.parent)
        kept.append({record.slot: store.image(record).tobytes() for record in store.samples()})
    assert kept[0] == kept[1] and 0 < len(kept[0]) < 32
    for shard in store.layout.present_shards():
        with tarfile.open(shard.packed) as tar:
            names = {member.name[:7] for member in tar} - {"__index"}
        assert names <= {f"{slot:07d}" for slot in kept[1]}


def test_large_builds_are_packed_unless_told_otherwise() -> None:
    large = RECIPE.replace("count: 14", "count: 100001")
    assert [parse_recipe(text, "r").packs for text in (RECIPE, large, PACKED, large + "store: {pack: false}\n")] == [
        False,
        True,
        True,
        False,
    ]


def test_images_in_the_tar_are_png(both: tuple[Path, Path]) -> None:
    record = next(BuildReader(both[1]).samples())
    with PIL.Image.open(io.BytesIO(BuildReader(both[1]).image_file(record).read_bytes())) as image:
        assert image.format == "PNG" and image.size == (64, 64)
