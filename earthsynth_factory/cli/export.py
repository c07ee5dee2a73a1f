"""`export DIR`: a build, prepared data, or any dataset that the importers read, in the formats that trainers read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthsynth_factory.cli.say import say, say_aside

FORMATS = (
    "coco, coco-panoptic, semantic, yolo-detect, yolo-segment, yolo-obb, dota, voc, odvg, gsnet, earthsynth, imagefolder, "
    "webdataset, hf-parquet, geotiff, stac, prepared"
)
"""The kinds of `exports.base`, which `--help` has no time to import; a test compares them."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from earthsynth_factory.datasets.base import LabelledDataset
    from earthsynth_factory.exports.base import ExportSpec, ExportSummary


def export(
    folder: Annotated[Path, typer.Argument(help="Output folder of a build, a prepared dataset, or any other dataset.")],
    formats: Annotated[list[str], typer.Option("--format", "-f", help=f"Comma-separated: {FORMATS}.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="By default <folder>/exports.")] = None,
    split: Annotated[str | None, typer.Option(help="Splits, comma-separated; all by default.")] = None,
    classes: Annotated[str | None, typer.Option(help="Classes, comma-separated; all else becomes background.")] = None,
    images: Annotated[str | None, typer.Option(help="link (hard links), copy or none. [default: link]")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Take what an unfinished build has so far.")] = False,
    kind: Annotated[str, typer.Option(help="Format of another dataset, as in `prepare`.")] = "auto",
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Class words of another dataset, as in `prepare`.")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="A format's knob: coco.polygons=true.")] = None,
) -> None:
    """Write the dataset in other formats, at any time. It is made from the masters; no model is needed."""
    from contextlib import ExitStack, nullcontext

    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.completeness import check_finished, check_masters
    from earthsynth_factory.datasets.views import OfClasses, OfSplits
    from earthsynth_factory.exports.write import check_targets
    from earthsynth_factory.exports.write import export as write
    from earthsynth_factory.io.claim import digest_of, finished_of
    from earthsynth_factory.io.lock import locked
    from earthsynth_factory.io.mirror import local_copy

    specs = _specs(_listed("--format", ",".join(formats)), changes or [], images)
    with ExitStack() as places:
        folder = places.enter_context(local_copy(folder, say_aside, writes=out is None))
        out = out and places.enter_context(local_copy(out, say_aside, new=True, writes=True))
        target = out or folder / "exports"
        check_targets(specs, target, folder)
        source = _opened(folder, out, kind, map_file)
        foreign = not isinstance(source, nullcontext)
        # Held from before another dataset is converted in it.
        with locked(target, "export") if foreign else nullcontext(), source as dataset:
            if not partial:
                check_finished(dataset)
            if classes is not None:
                dataset = OfClasses(dataset, _listed("--classes", classes))
            if split is not None:
                dataset = OfSplits(dataset, _listed("--split", split))
            count = check_masters(dataset)
            with image_progress(len(specs) * count, "writing") as advance:
                # A conversion's files are new each time: what it was made from tells whether anything changed.
                content = digest_of(finished_of(dataset.root), classes, split) if foreign else None
                summaries = write(dataset, specs, target, advance, held=foreign, content=content)
        _say(summaries, target)


def _specs(names: list[str], changes: Sequence[str], images: str | None) -> Sequence[ExportSpec]:
    """The blocks of the formats; `images` goes to those that have images beside them. InputError if it cannot be had."""
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.recipe.load import export_blocks

    if images is not None:
        beside = {spec.kind: "images" in type(spec).model_fields for spec in export_blocks(names)}
        inside = [name for name, has in beside.items() if not has]
        if inside and images != "copy":
            raise InputError(
                f"--images {images}: the files of {' and '.join(inside)} have copies of the images inside, always; "
                "export that apart, without --images"
            )
        changes = [*(f"{name}.images={images}" for name, has in beside.items() if has), *changes]
    return export_blocks(names, changes)


def _listed(option: str, text: str) -> list[str]:
    """The parts of a comma-separated value. Raises InputError if there are none."""
    from earthsynth_factory.errors import InputError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError(f"{option} {text!r}: names nothing; name one or more, comma-separated")
    return parts


def _opened(
    folder: Path, out: Path | None, kind: str, map_file: Path | None
) -> AbstractContextManager[LabelledDataset]:
    """What we read as it is; anything else prepared whole in a temporary folder in `out`."""
    from contextlib import nullcontext

    from earthsynth_factory.datasets.open import is_dataset, open_dataset
    from earthsynth_factory.errors import InputError, SourceError

    if is_dataset(folder):
        return nullcontext(open_dataset(folder))
    if not folder.exists():
        raise SourceError(f"{folder}: no such file or folder")
    if out is None or out.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder}: is no dataset of ours, so nothing is written into it; give --out DIR outside it")
    return _converted(folder, out, kind, map_file)


def _converted(folder: Path, out: Path, kind: str, map_file: Path | None) -> AbstractContextManager[LabelledDataset]:
    from collections.abc import Iterator
    from contextlib import contextmanager

    from earthsynth_factory.cli.progress import scene_progress
    from earthsynth_factory.datasets.prepared.reader import PreparedDataset
    from earthsynth_factory.importers.crops import CropRules
    from earthsynth_factory.importers.finish import problems_of
    from earthsynth_factory.importers.prepare import PrepareOptions, prepare
    from earthsynth_factory.io.atomic import throw_away
    from earthsynth_factory.io.claim import digest_of

    @contextmanager
    def converted() -> Iterator[LabelledDataset]:
        # Whole images, the empty ones too, each object as it is: nothing is to change but the format.
        options = PrepareOptions(kind=kind, rules=CropRules(0), keep_empty=1.0, augment=False, map=map_file)
        # Named for what is converted: what a killed run left is gone on with, and nothing else is there.
        prepared = out / f".converting-{digest_of(str(folder.resolve()), kind, str(map_file))}"
        try:
            with scene_progress() as watch:
                summary = prepare(folder, prepared, options, watch)
            say(f"{folder}: {summary.images} images ({summary.recognised})")
            for reason, number in summary.left_out.items():
                say(f"  left out: {number}× {reason}")
            for remark, number in summary.remarks.items():
                say(f"  note: {remark}" + (f" ({number:,}×)" if number > 1 else ""))
            if summary.problems:
                say(f"  {summary.problems} problems:", err=True)
                say("\n".join(problems_of(prepared)[1]), err=True)
            yield PreparedDataset(prepared)
        finally:
            throw_away(prepared)

    return converted()


def _say(summaries: Sequence[ExportSummary], target: Path) -> None:
    for summary in summaries:
        counts = ", ".join(f"{split} {count}" for split, count in summary.counts.items())
        say(f"{target / summary.kind}: {counts}")
        for note in summary.notes:
            say(f"  note: {note}")
