"""Which reader a folder is for: that with the strongest evidence. If several have it, or it is weak, the user is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

from earthsynth_factory.errors import FactoryError, InputError
from earthsynth_factory.importers.scene import Evidence, Notes, Reader, ReadRequest, Source, Strength

SHOWN = 8
"""Classes that are named of what a reader would read."""


def choose_reader(request: ReadRequest, readers: Mapping[str, Reader], kind: str = "auto") -> tuple[Reader, str]:
    """The reader and why. kind: `auto`, a reader's, or a plug-in's `package.module:Class`.

    Raises `InputError` if the kind is unknown, nothing fits, several do, or the evidence is weak; then what each would
    read is shown.
    """
    if kind != "auto":
        return _asked(kind, readers), f"{kind}: as asked"
    found = _evidence(request, readers)
    if not found:
        raise InputError(
            f"{request.path}: of no kind that is known ({', '.join(readers)}). Give the dataset's top folder, or say "
            "--kind; label images need a class table (classes.json, classes.txt, labelmap.txt, or ids or colours in --map)"
        )
    best = max(evidence.strength for evidence in found.values())
    first = {name: evidence for name, evidence in found.items() if evidence.strength == best}
    if len(first) > 1 or best == Strength.SHAPE:
        raise InputError(_question(request, readers, first))
    [(name, evidence)] = first.items()
    others = [
        f"{other}: {one.why}"
        for other, one in found.items()
        if other not in (name, *readers[name].forms) and one.strength > Strength.SHAPE
    ]
    also = f"; it would also pass for {' and '.join(others)} (--kind)" if others else ""
    return readers[name], f"{name}: {evidence.why}{also}"


def _evidence(request: ReadRequest, readers: Mapping[str, Reader]) -> dict[str, Evidence]:
    """What each reader says. One that stumbles over a file says nothing: the file may have to do with another."""
    found = {}
    for name, reader in readers.items():
        try:
            evidence = reader.recognise(request)
        except FactoryError:
            continue
        if evidence:
            found[name] = evidence
    return found


def _question(request: ReadRequest, readers: Mapping[str, Reader], found: Mapping[str, Evidence]) -> str:
    place = request.path
    head = (
        f"{place}: may be of several kinds; say which with --kind, or give the folder of one"
        if len(found) > 1
        else f"{place}: looks like {next(iter(found))}, but that is not sure; say --kind {next(iter(found))} if it is so"
    )
    lines = [
        f"  {name}: {evidence.why}\n    would read {_preview(readers[name], request)}"
        for name, evidence in found.items()
    ]
    return "\n".join([head, *lines])


def _preview(reader: Reader, request: ReadRequest) -> str:
    try:
        return summary(reader.open(replace(request, notes=Notes())))
    except FactoryError as error:
        return f"nothing: {error}"


def summary(source: Source) -> str:
    """Images, objects and classes of an opened dataset, in words."""
    counts = sorted(source.words.items(), key=lambda entry: (-(entry[1] or 0), entry[0]))
    names = [f"{word} {count}" if count else word for word, count in counts if count != 0]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    objects = f", {source.objects} objects" if source.objects else ""
    return f"{len(source.scenes)} images{objects}; classes: {', '.join(names[:SHOWN]) or 'none'}{more}"


def _asked(kind: str, readers: Mapping[str, Reader]) -> Reader:
    if kind in readers:
        return readers[kind]
    module, colon, name = kind.partition(":")
    if not colon:
        raise InputError(
            f"--kind {kind}: not a known kind; one of auto, {', '.join(readers)}, or your own reader as package.module:Class"
        )
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # a plug-in's module runs foreign code: whatever it raises is its fault
        raise InputError(f"--kind {kind}: cannot be imported: {error!r}; is its package installed?") from error
    if not (isinstance(found, type) and issubclass(found, Reader)):
        raise InputError(f"--kind {kind}: no reader; derive it from {Reader.__module__}.{Reader.__name__}")
    try:
        return found()
    except Exception as error:
        raise InputError(f"--kind {kind}: cannot be made: {error!r}; its class takes no arguments") from error
