"""What the authors' `test.py` writes: pictures `<category>_<mask stem>_<i>.png`, whose control images (raw class ids) lie in
the same folder or below it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.sample import Candidate, Slot
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.filtering.labelled_folder import LabelledFolder, LabelledImage, candidate
from earthsynth_factory.importers.tree import walk
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.pictures import Picture
from earthsynth_factory.io.stored import StoredFile

TEST_OUTPUT = "earthsynth-test"
"""Kind of a folder that the authors' `test.py` wrote."""


def open_test_output(path: Path) -> LabelledFolder | None:
    """The folder as what `test.py` writes; None if no picture is named so and has its control image."""
    if not path.is_dir():
        return None
    pictures = [file for file in walk(path) if file.suffix.lower() == ".png"]
    stems = {file.stem: file for file in pictures}
    taxonomy = earthsynth()
    prefixes = {category.name.replace(" ", mark): category.id for category in taxonomy if category.id for mark in "_ "}
    entries, targets = [], set()
    for picture in pictures:
        body, _, number = picture.stem.rpartition("_")
        # Of `road_tile` and a class that begins alike the longer name is meant.
        names = sorted((name for name in prefixes if body.startswith(f"{name}_")), key=len, reverse=True)
        control = next((stems[body[len(name) + 1 :]] for name in names if body[len(name) + 1 :] in stems), None)
        if control is not None and number.isdecimal() and control != picture:
            category = next(prefixes[name] for name in names if body[len(name) + 1 :] == control.stem)
            targets.add(category)
            entries.append(
                LabelledImage(picture.stem, (StoredFile(picture),), partial(_load_test, picture, control, category))
            )
    if not entries:
        return None
    why = f"output of EarthSynth's test.py: pictures such as {entries[0].places[0].name} beside their control images"
    return LabelledFolder(path, TEST_OUTPUT, why, taxonomy, tuple(sorted(targets)), entries)


def without_controls(path: Path) -> str | None:
    """What to do about a folder of pictures named as `test.py` names them whose control images are not there; else None."""
    if not path.is_dir():
        return None
    prefixes = tuple(
        f"{category.name.replace(' ', mark)}_" for category in earthsynth() if category.id for mark in "_ "
    )
    stems = [file.stem for file in walk(path) if file.suffix.lower() == ".png"]
    named = [stem for stem in stems if stem.startswith(prefixes) and stem.rpartition("_")[2].isdecimal()]
    if not named or len(named) < len(stems) / 2:
        return None
    return (
        f"{path}: pictures as EarthSynth's test.py names them, such as {named[0]}.png, without their control images, which "
        "say what is where: copy those into the folder, or into one below it"
    )


def _load_test(picture: Path, control: Path, category: int) -> Candidate:
    with Picture(picture) as opened:
        image = opened.rgb(0, opened.shape[0])
    ids = read_ids(control).astype(np.uint8)
    # The picture was asked for one category of the mask alone.
    made = candidate(image, np.where(ids == category, ids, 0).astype(np.uint8), None, earthsynth(), str(picture))
    return Candidate(Slot(0, category, "test", 0), 0, 0, made.condition, image)
