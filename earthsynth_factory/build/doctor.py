"""The checks behind `doctor`: each says what was found and, if something is missing, what to do."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.io.printable import one_line, readable_size

GIGABYTE = 1 << 30
LEAST_FREE = 2 * GIGABYTE

_PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "open-clip-torch", "pycocotools", "pillow", "numpy")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. needed: a build on the embedded model cannot do without it."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def all_checks() -> list[Check]:
    """Every check, in the order a person reads them."""
    checks = [_python(), *map(_package, _PACKAGES)]
    probes: list[Callable[[], Check]] = [_device, _embedded, _earthsynth, _memory, _disk]
    return checks + [probe() for probe in probes] + _copies()


def model_checks(name: str, controlnet: str | None) -> list[Check]:
    """What a model is, its paths from the working folder. Raises ModelError if it cannot be driven."""
    from earthsynth_factory.models.description import describe_model

    return [Check(subject, True, found) for subject, found in describe_model(name, controlnet, Path())]


def image_checks(path: Path) -> list[Check]:
    """What an image file says of how it came to be. Raises InputError if it cannot be read."""
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.provenance import MEANING, source_type_of

    try:
        found = source_type_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    nothing = "the file says nothing; that is no proof that a camera took it"
    said = nothing if found is None else f"{found}: {MEANING.get(found, 'see IPTC, Digital Source Type')}"
    return [Check("digital source type", True, said), _credentials(path)]


def _credentials(path: Path) -> Check:
    """Whether somebody signed what the image says."""
    from earthsynth_factory.io.credentials import credentials_of, seem_there

    name = "content credentials"
    if not seem_there(path):
        return Check(name, True, "none")
    if find_spec("c2pa") is None:
        return Check(name, True, "there, but not looked at; pip install 'earthsynth-factory[c2pa]'")
    found = credentials_of(path)
    if found is None:
        return Check(name, True, "none")
    by = f"signed by {one_line(found.signer)!r}" if found.signer else "signed"
    if found.state == "Invalid":
        again = "take the file from its source again; do not rely on what it says"
        return Check(name, False, f"{by}, and changed since, or signed wrongly", again, needed=False)
    who = (
        "a signer that the library trusts"
        if found.state == "Trusted"
        else "whether to trust the signer is for you to say"
    )
    return Check(name, True, f"{by}, unchanged since; {who}")


def _python() -> Check:
    return Check("Python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer")


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install {name}")


def _device() -> Check:
    import torch

    from earthsynth_factory.models.device import CPU_PRECISION, cpu_dtype, cpu_has_bfloat16

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        listed = ", ".join(f"{item.name} ({item.total_memory / GIGABYTE:.0f} GiB)" for item in names)
        return Check("device", True, listed)
    precision = str(cpu_dtype()).removeprefix("torch.")
    why = "" if cpu_has_bfloat16() else " (no bfloat16 instructions)"
    why = f" ({CPU_PRECISION})" if os.environ.get(CPU_PRECISION) else why
    return Check("device", True, f"CPU, {os.cpu_count()} cores, {precision}{why}; enough for `model: embedded`")


def _embedded() -> Check:
    from earthsynth_factory.errors import ModelError
    from earthsynth_factory.models.registry import files_of

    try:
        count = len(files_of("embedded", Path()).hashes())
    except ModelError as error:
        return Check("embedded model", False, str(error), "install the package again; its assets are missing")
    return Check("embedded model", True, f"{count} weight files")


def _earthsynth() -> Check:
    """Looks into the hub's cache only: a check downloads nothing."""
    from earthsynth_factory.models.registry import at_hand

    cached = at_hand("earthsynth", Path())
    remedy = "for `model: earthsynth` it is downloaded at the first build (about 7 GB with its base); needs a network"
    return Check(
        "EarthSynth weights", cached, "in the hub's cache" if cached else "not downloaded", remedy, needed=False
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Check("memory", total >= 4 * GIGABYTE, f"{total / GIGABYTE:.0f} GiB", "4 GiB are needed")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("disk here", free >= LEAST_FREE, f"{free / GIGABYTE:.0f} GiB free", "free some space or choose --out")


def _copies() -> list[Check]:
    """What was fetched from object stores, or is on its way there; nothing if there is none."""
    place = cache_folder() / "objects"
    copies = [folder for folder in place.iterdir() if folder.is_dir()] if place.is_dir() else []
    if not copies:
        return []
    each = "a copy" if len(copies) == 1 else f"{len(copies)} copies"
    size = readable_size(sum(map(_size, place.rglob("*"))))
    remove = f"rm -r {shlex.quote(str(place))}"
    found = f"{each}, {size}; {remove} clears them, unless a command is at work there or a build was cut off"
    return [Check("object stores", True, found)]


def _size(path: Path) -> int:
    """Bytes of a file; 0 for all else, and if it has just gone."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
