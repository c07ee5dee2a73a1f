"""The house's statics: who may import whom, what is imported where, and what is never called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "earthsynth_factory"
NAME = PACKAGE.name

FLOORS = {
    "errors": 0,
    "domain": 1, "geometry": 1,
    "io": 2, "labels": 2,
    "datasets": 3, "models": 3,
    "engines": 4,
    "conditions": 4, "synthesis": 4, "rfilter": 4, "exports": 4,
    "recipe": 5, "importers": 5, "report": 5,
    "training": 6, "filtering": 6, "evaluation": 6,
    "build": 7,
    "cli": 8,
}  # fmt: skip
"""As the design has them."""

STAGES = {"conditions", "synthesis", "rfilter", "labels", "exports"}
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "accelerate", "open_clip"}
HEAVY_AT_TOP = {"models", "training", "evaluation"}

RUNNING = {"eval", "exec", "yaml.load", "pickle.load", "pickle.loads", "os.system"}
PICKLING = {"pickle", "shelve", "dill", "marshal", "joblib"}

MODULES = sorted(PACKAGE.rglob("*.py"))
RESEARCH = sorted((PACKAGE.parent / "research").rglob("*.py"))
"""Not installed: it may use the package, never the other way round."""


def test_every_folder_of_tests_is_looked_into(request: pytest.FixtureRequest) -> None:
    left_out = request.config.getini("norecursedirs")
    folders = [path.name for path in (PACKAGE.parent / "tests").rglob("*") if path.is_dir()]
    assert folders and not [name for name in folders for pattern in left_out if fnmatch(name, pattern)]


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULE_NAMES = {dotted(path) for path in MODULES}


def room(module: str) -> str | None:
    """The part of the house a module is in; None for the package itself, `python -m`, and what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == NAME and len(parts) > 1 and parts[1] != "__main__" else None


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """Every name imported below `node`, as `module` and `module.name`; type-only ones and those in bodies too."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            yield from (alias.name for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0, "imports are absolute"
            inner = [f"{found.module}.{alias.name}" for alias in found.names]
            yield from inner
            # A package is run by whatever is imported from inside it; to depend on it is to use a name of its own.
            if not all(name in MODULE_NAMES for name in inner):
                yield found.module or ""


def at_top(path: Path) -> Iterator[str]:
    """What importing the module imports: not what stands in function bodies or under TYPE_CHECKING."""
    pending: list[ast.stmt] = list(tree(path).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)
        pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert rooms - {"__init__", "__main__", "__pycache__", "assets", "py"} <= set(FLOORS)


def test_imports_own_floor_or_lower() -> None:
    above = [
        f"{dotted(path)} imports {target}"
        for path in MODULES
        for target in imported(tree(path))
        if (own := room(dotted(path))) and (other := room(target)) in FLOORS and FLOORS[other] > FLOORS[own]
    ]
    assert not above


def test_who_imports_tests_and_research() -> None:
    """Research imports the package and itself, the package neither research nor tests."""
    barred = {path: {"research", "tests"} for path in MODULES} | {path: {"tests"} for path in RESEARCH}
    strange = {
        f"{path} imports {target}"
        for path, names in barred.items()
        for target in imported(tree(path))
        if target.split(".")[0] in names
    }
    assert not strange


def test_stages_never_import_one_another() -> None:
    strange = {
        f"{dotted(path)} imports {target}"
        for path in MODULES
        if (own := room(dotted(path))) in STAGES
        for target in imported(tree(path))
        if room(target) in STAGES - {own}
    }
    assert not strange


def test_no_module_imports_itself_over_others() -> None:
    graph = {dotted(path): (set(imported(tree(path))) & MODULE_NAMES) - {dotted(path)} for path in MODULES}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above[above.index(name) :], name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*above, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_networks_are_imported_in_bodies() -> None:
    heavy = {
        f"{dotted(path)} imports {target}"
        for path in MODULES
        if room(dotted(path)) not in HEAVY_AT_TOP
        for target in at_top(path)
        if target.split(".")[0] in HEAVY
    }
    assert not heavy


def test_every_module_says_what_it_is() -> None:
    assert not [path for path in (*MODULES, *RESEARCH) if not ast.get_docstring(tree(path))]


def test_nothing_runs_what_it_reads() -> None:
    faults = [fault for path in MODULES for fault in (*runs_what_it_reads(path), *unpickles(path))]
    assert not faults


def runs_what_it_reads(path: Path) -> Iterator[str]:
    for call in (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)):
        name, keys = ast.unparse(call.func), {key.arg: ast.unparse(key.value) for key in call.keywords}
        unsafe = name == "torch.load" and keys.get("weights_only") != "True"
        if name in RUNNING or unsafe or "shell" in keys:
            yield f"{dotted(path)}:{call.lineno}: {name}"


def unpickles(path: Path) -> Iterator[str]:
    """A restricted Unpickler that admits plain data alone may be built in importers; nobody else touches pickle."""
    if room(dotted(path)) != "importers":
        yield from (f"{dotted(path)}: {t}" for t in imported(tree(path)) if t.split(".")[0] in PICKLING)


LAYOUT_OF_PREPARED = re.compile(
    r"""["'](dataset\.json|instances\.jsonl|train\.jsonl|category_images|category_masks|problems\.txt|prepare\.jsonl|imagery\.json)["']"""
    r"""|datasets\.prepared\.layout\b"""
)
"""Names of its files, and the module that has them all."""

NAME_THE_LAYOUT = {
    "cli/split_merge.py",  # claims the folders that it writes
    "importers/prepare.py",  # claims them too, and keeps its journal there
    "importers/finish.py",  # whose list of problems lies there
    "importers/readers/prepared.py",  # recognises it
    "importers/readers/earthsynth180k.py",  # recognises the published layout that it follows
}


def test_the_layout_of_a_prepared_folder_is_known_to_its_room() -> None:
    """Whoever reads or writes one does so through `datasets/prepared`: a file more or less is a change in one place."""
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if path.parent != PACKAGE / "datasets" / "prepared"
        and LAYOUT_OF_PREPARED.search(path.read_text(encoding="utf-8"))
    }
    assert naming == NAME_THE_LAYOUT


ONE_OF_EACH = {
    "look": "a check before a build",
    "main": "what a program begins with",
    **dict.fromkeys(
        ("build", "evaluate", "export", "generate", "mosaic", "prepare", "remake"), "a command, and what it calls"
    ),
}
"""Functions that modules define under one name on purpose: what the name stands for."""


def test_a_public_name_has_one_meaning() -> None:
    """No class and no function of one module is called like another one's, so that a name can be searched for."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    several = {name: found for name, found in places.items() if len(found) > 1 and name not in ONE_OF_EACH}
    assert not several
