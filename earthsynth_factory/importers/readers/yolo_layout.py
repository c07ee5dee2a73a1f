"""How YOLO's files lie: which text file is of which image, what names the classes, and what lists the splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.texts import read_lines, read_names
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_word
from earthsynth_factory.importers.yaml_of_strangers import read_yaml

_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")
IMAGES, LABELS = ("images", "image", "imgs"), ("labels", "label")
_SPLITS = ("train", "val", "valid", "test")


@dataclass(frozen=True)
class Names:
    """What names the classes. rank: the lower, the surer. points: whether lines go on with key points behind the box.

    lists: split → what the file gives for it: folders or lists of images.
    """

    file: Path
    rank: tuple[int, int]
    words: dict[int, str]
    points: bool = False
    lists: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_yaml(self) -> bool:
        return self.file.suffix.lower() in (".yaml", ".yml")


def find_names(tree: Tree) -> list[Names]:
    """Every file that names classes, the surest first: `data.yaml` before other YAML, the higher before the deeper."""
    found = [*_from_yaml(tree), *_from_lists(tree)]
    return sorted(found, key=lambda names: (names.rank, str(names.file)))


def pairs(tree: Tree) -> Iterator[tuple[Path, Path | None]]:
    """Images with their text files, None if one is missing in a place where others have one."""
    labels = _Labels(tree)
    for image in tree.images():
        if (home := labels.home(image)) is not None:
            yield image, labels.of(image, home)


def without_image(tree: Tree, found: list[tuple[Path, Path | None]]) -> list[Path]:
    """Text files in the folders of those that were found, which are of no image."""
    taken = {label for _, label in found if label}
    homes = {label.parent for label in taken}
    texts = (file for home in homes for file in tree.listing(home, ".txt"))
    return sorted(file for file in texts if file not in taken and file.name.lower() not in _LISTS)


class Splits:
    """The split of an image by what the names' file lists. closed: these are lists of images, so that others are out.
    missing: lines of lists that lead to no image, with their file.
    """

    def __init__(self, tree: Tree, names: Names) -> None:
        self.missing: list[str] = []
        self._folders: dict[Path, str] = {}
        self._images: dict[Path, str] = {}
        self.closed = False
        finder = ImageFinder(tree)
        for split, given in names.lists.items():
            for one in given:
                if one.lower().endswith(".txt"):
                    self._read(tree, finder, one, split)
                elif (folder := _folder(tree, names.file.parent, one)) is not None:
                    # Ultralytics wants both train and val: who has one split names its folder for the other too.
                    own = folder.name.lower() == split
                    self._folders[folder] = split if own else self._folders.get(folder, split)

    def of(self, image: Path) -> str | None:
        """None if nothing lists the image."""
        if image in self._images or self.closed:
            return self._images.get(image)
        return next((self._folders[folder] for folder in image.parents if folder in self._folders), None)

    def _read(self, tree: Tree, finder: ImageFinder, name: str, split: str) -> None:
        files = tree.called(Path(name.replace("\\", "/")).name)
        if not files:
            return
        self.closed = True
        for line in read_names(files[0]):
            path = finder.find(line, files[0].parent)
            if path is not None:
                self._images.setdefault(path, split)
            else:
                self.missing.append(f"{files[0]}: {line[:200]!r}")


class _Labels:
    """Text files by folder: `labels/…/x.txt` for `images/…/x.*`, in `labels/` beside the image, or beside it itself."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._texts: dict[Path, dict[str, Path]] = {}
        self._paired: dict[Path, bool] = {}
        self._folders = {str(folder).lower(): folder for folder in tree.folders}

    def home(self, image: Path) -> Path | None:
        """The folder where the image's text file would be; None if the place has no such files at all."""
        parts = image.parent.relative_to(self._tree.root).parts
        for place in reversed([n for n, part in enumerate(parts) if part.lower() in IMAGES]):
            base = self._tree.inner(self._tree.root.joinpath(*parts[:place]), *LABELS)
            if base is not None and self._any_below(base):
                folder = base.joinpath(*parts[place + 1 :])
                return self._folders.get(str(folder).lower(), folder)
        beside = self._tree.inner(image.parent, *LABELS)
        return next((folder for folder in (beside, image.parent) if folder and self._pairs(folder, image.parent)), None)

    def of(self, image: Path, home: Path) -> Path | None:
        """The image's text file."""
        texts = self._in(home)
        return texts.get(image.stem) or texts.get(image.stem.lower())

    def _in(self, folder: Path) -> dict[str, Path]:
        if folder not in self._texts:
            files = self._tree.listing(folder, ".txt")
            texts = {path.stem: path for path in files if path.name.lower() not in _LISTS}
            # In any case, unless another file has the name itself.
            self._texts[folder] = {stem.lower(): path for stem, path in texts.items()} | texts
        return self._texts[folder]

    def _any_below(self, base: Path) -> bool:
        if base not in self._paired:
            self._paired[base] = any(True for _ in self._tree.files(".txt", below=base))
        return self._paired[base]

    def _pairs(self, folder: Path, images: Path) -> bool:
        """Whether a text file of the folder is called as an image is."""
        if folder not in self._paired:
            stems = {path.stem.lower() for path in self._tree.listing(images)}
            self._paired[folder] = not stems.isdisjoint(self._in(folder))
        return self._paired[folder]


def _from_yaml(tree: Tree) -> Iterator[Names]:
    for file in tree.files(".yaml", ".yml"):
        document = _yaml(file)
        words = _words(document.get("names"))
        if words:
            lists = {split: _texts(document.get(split)) for split in _SPLITS if document.get(split)}
            usual = 0 if file.stem.lower() in ("data", "dataset") else 1
            yield Names(file, (_depth(tree, file), usual), words, "kpt_shape" in document, _named(lists))


def _from_lists(tree: Tree) -> Iterator[Names]:
    given = {file: _data(file) for file in tree.files(".data")}
    lists = next((lists for lists in given.values() if lists), {})
    for file in [*tree.called(*_LISTS), *(f for f in tree.files(".names") if f.name.lower() != "obj.names")]:
        words = dict(enumerate(read_names(file)))
        if words:
            yield Names(file, (_depth(tree, file), 2), words, lists=_named(lists))


def _data(path: Path) -> dict[str, list[str]]:
    """The lists that Darknet's `obj.data` names."""
    entries = (line.partition("=") for line in read_lines(path))
    return {key.strip(): [value.strip()] for key, _, value in entries if key.strip() in _SPLITS and value.strip()}


def _depth(tree: Tree, file: Path) -> int:
    """Folders between; one for class lists, which may lie among the labels."""
    parts = tree.relative(file).parent.parts
    return len([part for part in parts if part.lower() not in ("labels", "data")])


def _yaml(path: Path) -> dict[str, Any]:
    """What a YAML file says; nothing if it cannot be read, for then it names no classes."""
    try:
        document = read_yaml(path)
    except SourceError:
        return {}
    return document if isinstance(document, dict) else {}


def _words(names: Any) -> dict[int, str]:
    """Class number → name, of a list or a block with numbers; empty if it is neither."""
    entries = (
        list(enumerate(names)) if isinstance(names, list) else list(names.items()) if isinstance(names, dict) else []
    )
    found = {}
    for key, name in entries:
        if not isinstance(name, str | int | float) or not str(key).isdecimal():
            return {}
        found[int(str(key))] = str(name)
    return found


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _named(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    return {split_word(split) or split: given for split, given in lists.items()}


def _folder(tree: Tree, home: Path, name: str) -> Path | None:
    """The folder that an entry means: from where its file lies, from above, or by its end alone, as exports write it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for length in range(len(parts), 0, -1):
        for start in (home, tree.root):
            folder = start.joinpath(*parts[-length:])
            if folder in tree.folders:
                return folder
    return None
