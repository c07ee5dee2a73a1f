"""The plug-in door: a block's `kind` names its spec class, built in or `package.module:Class`."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from earthsynth_factory.domain.spec import Spec

_allowed: ContextVar[bool] = ContextVar("plug-ins are allowed", default=False)


@contextmanager
def plugins_allowed(allowed: bool = True) -> Iterator[None]:
    """Hold while blocks are read whose plug-ins may be imported, so that their code runs. Otherwise none is. Not `allowed`:
    as it was outside."""
    before = _allowed.set(allowed or _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(before)


def spec_class(kind: str, builtin: Mapping[str, str], stage: str) -> type[Spec]:
    """The spec class for `kind`.

    builtin: kind → `module:Class` of what ships. Another `module:Class` is imported as a plug-in, which runs its code:
    a recipe that names one is to be trusted as a program is, so that nothing is imported but within `plugins_allowed`.
    Raises ValueError with the known kinds otherwise.
    """
    target = builtin.get(kind, kind)
    module_name, colon, class_name = target.partition(":")
    if not colon:
        near = [name for name in builtin if kind and name.startswith(kind.lower())]
        near = near or difflib.get_close_matches(kind, builtin, n=1)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(builtin)}"
        raise ValueError(f"unknown {stage} kind {kind!r}; {hint} (a plug-in is written package.module:Class)")
    if kind not in builtin and not _allowed.get():
        raise ValueError(
            f"{stage} kind {kind!r} names a plug-in, whose code would run; give --allow-plugins if you trust it as a program"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{stage} kind {kind!r} cannot be imported: {error}; is its package installed?") from error
    if not (isinstance(found, type) and issubclass(found, Spec)):
        raise ValueError(f"{stage} kind {kind!r} is no Spec class; derive it from earthsynth_factory.domain.spec.Spec")
    return found
