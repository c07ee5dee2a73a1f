"""The house as its imports draw it: `python -m tests.import_graph`, of today or of any commit (`--rev v0.1.0`).

Prints a line a room, from the top floor down: modules, lines, and which rooms it imports, with the number of imports. With
`--dot` the same for Graphviz: `python -m tests.import_graph --dot | dot -Tsvg > house.svg`.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGE = "earthsynth_factory"

Graph = Mapping[str, Counter[str]]
"""Room → rooms it imports → number of imports."""


def sources(rev: str | None) -> dict[str, str]:
    """Path below the root → text of every module of the package, as it lies there or as a commit has it."""
    if rev is None:
        found = sorted((ROOT / PACKAGE).rglob("*.py"))
        return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}
    archive = subprocess.run(["git", "archive", rev, PACKAGE], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.name.endswith(".py")]
        return {name: file.read().decode() for name, file in files if file is not None}


def room_of(path: str) -> str:
    """The folder of the package that a module lies in, or the module itself if it lies in none."""
    return PurePosixPath(path).parts[1].removesuffix(".py")


def imported_rooms(text: str) -> Iterator[str]:
    """The room of every import, those in bodies too."""
    for node in ast.walk(ast.parse(text)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if names == [PACKAGE] and isinstance(node, ast.ImportFrom):
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}."))


def graph_of(modules: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Imports between rooms; those within a room are left out, as is the package's own `__init__`."""
    graph = {room: Counter[str]() for room in sorted(map(room_of, modules)) if room != "__init__"}
    for path, text in modules.items():
        if (room := room_of(path)) in graph:
            graph[room].update(other for other in imported_rooms(text) if other != room and other in graph)
    return graph


def floors(graph: Graph) -> dict[str, int]:
    """Room → floor: one above the highest room it imports. Raises ValueError if rooms import each other in a circle."""
    found: dict[str, int] = {}
    while waiting := [room for room in graph if room not in found]:
        ready = {room: 1 + max((found[one] for one in graph[room]), default=-1)
                 for room in waiting if all(one in found for one in graph[room])}  # fmt: skip
        if not ready:
            raise ValueError(f"rooms that import each other in a circle: {', '.join(waiting)}")
        found |= ready
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rev", help="a commit instead of the working tree")
    parser.add_argument("--dot", action="store_true", help="for Graphviz")
    options = parser.parse_args()
    modules = sources(options.rev)
    graph = graph_of(modules)
    if options.dot:
        arrows = (f'  "{one}" -> "{other}" [label={count}];' for one in graph for other, count in graph[one].items())
        print("\n".join(["digraph house {", *arrows, "}"]))
        return
    floor = floors(graph)
    for room in sorted(graph, key=lambda room: (-floor[room], room)):
        inside = [text for path, text in modules.items() if room_of(path) == room]
        lines = sum(text.count("\n") for text in inside)
        below = ", ".join(f"{other} {count}" for other, count in graph[room].most_common())
        print(f"{floor[room]}  {room:<12}{len(inside):>4} modules {lines:>6} lines  {below}")
    arrows = sum(len(below) for below in graph.values())
    print(f"{len(modules)} modules, {sum(text.count(chr(10)) for text in modules.values())} lines, {arrows} arrows")


if __name__ == "__main__":
    main()
