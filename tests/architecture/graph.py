"""Who imports whom inside each service, and where that goes round in a circle. Imports under `TYPE_CHECKING` count too.

    python -m tests.architecture.graph [--root DIR]

A room is what stands directly below `services/`, `ingest/`, `scorer/` or `alerter/`: a package or a single module. An arrow
leads from a room to one that it imports from. An arrow runs back up where the layers in DIR/pyproject.toml put its end
above its beginning, or beside it. A circle is a set of rooms, or of files, each of which can be reached from each.
"""

from __future__ import annotations

import argparse
import ast
import tomllib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = ("services", "ingest", "scorer", "alerter")
Graph = Mapping[str, Set[str]]


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    files: Graph
    """Module -> modules of the same service that it imports."""
    rooms: Graph
    layers: Mapping[str, int]
    """Room -> layer, counted from the top; empty where no layers are declared."""

    @property
    def arrows(self) -> list[tuple[str, str]]:
        return [(begin, end) for begin in sorted(self.rooms) for end in sorted(self.rooms[begin])]

    @property
    def back_up(self) -> list[tuple[str, str]]:
        known = [(a, b) for a, b in self.arrows if a in self.layers and b in self.layers]
        return [(a, b) for a, b in known if self.layers[b] <= self.layers[a]]


def service(name: str, root: Path = ROOT) -> Service:
    sources = {_module(path, root): path for path in sorted((root / name).rglob("*.py"))}
    files = {module: _imported(path, sources.keys()) - {module} for module, path in sources.items()}
    rooms: dict[str, set[str]] = {room(module): set() for module in files}
    for module, imported in files.items():
        rooms[room(module)] |= {room(one) for one in imported} - {room(module)}
    return Service(name, files, rooms, _layers(name, root))


def room(module: str) -> str:
    """`alerter.notify.formats.slack` stands in `alerter.notify`."""
    return ".".join(module.split(".")[:2])


def circles(graph: Graph) -> list[list[str]]:
    """Tarjan's strongly connected components, those of more than one member."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for end in graph[node]:
            if end not in number:
                visit(end)
                lowest[node] = min(lowest[node], lowest[end])
            elif end in stack:
                lowest[node] = min(lowest[node], number[end])
        if lowest[node] == number[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return sorted(one for one in found if len(one) > 1)


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, modules: Set[str]) -> set[str]:
    """The modules that the file names. What a package's `__init__` imports in turn is that file's affair."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules
            if names - modules:
                found.add(node.module)
    return found & modules


def _layers(name: str, root: Path) -> dict[str, int]:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text).get("tool", {}).get("importlinter", {}).get("contracts", [])
    for contract in contracts:
        if contract["type"] != "layers":
            continue
        found = dict(_places(contract))
        if any(room.startswith(f"{name}.") for room in found):
            return found
    return {}


def _places(contract: Mapping[str, list[str]]) -> Iterator[tuple[str, int]]:
    prefixes = [f"{one}." for one in contract.get("containers", [])] or [""]
    for depth, layer in enumerate(contract["layers"]):
        for sibling in layer.split("|"):
            for prefix in prefixes:
                yield prefix + sibling.strip("() "), depth


def main() -> None:
    parser = argparse.ArgumentParser(description="Who imports whom inside each service.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to look at (default: this one)")
    root = parser.parse_args().root
    print(f"{'':10}{'rooms':>6}{'arrows':>8}{'back up':>9}{'circles of rooms':>18}{'of files':>10}")
    for name in SERVICES:
        one = service(name, root)
        back = str(len(one.back_up)) if one.layers else "-"
        of_rooms, of_files = circles(one.rooms), circles(one.files)
        print(f"{name:10}{len(one.rooms):>6}{len(one.arrows):>8}{back:>9}{len(of_rooms):>18}{len(of_files):>10}")
        for begin, end in one.back_up:
            print(f"  back up: {begin} -> {end}")
        for kind, found in (("rooms", of_rooms), ("files", of_files)):
            for circle in found:
                print(f"  circle of {len(circle)} {kind}: {', '.join(circle)}")


if __name__ == "__main__":
    main()
