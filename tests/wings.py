"""The wings of benchmark/: their order, and what imports what.

`python tests/wings.py` prints the files and lines of every wing and the imports between them.
"""

import ast
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BENCHMARK = REPOSITORY / "benchmark"
BASE = "typed start parquet sealed files errors progress"
# From the top down: each imports only those below it. `cli` is __main__.py and cli.py, BASE the
# other files of the folder itself.
WINGS = "cli commands play studies report perf running plan evidence"
ORDER = (*WINGS.split(), BASE)


def wing_of(path: Path) -> str:
    """The wing that a file below benchmark/ belongs to."""
    first, *rest = path.relative_to(BENCHMARK).with_suffix("").parts
    if rest:
        return first
    return "cli" if first in ("cli", "__main__") else BASE


def imports_of(path: Path) -> list[str]:
    """The modules of ours that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return [name for name in found if name.split(".")[0] == "benchmark"]


def file_of(module: str) -> Path:
    """The file of a module."""
    path = REPOSITORY.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def files() -> list[Path]:
    """All files of benchmark/."""
    return sorted(BENCHMARK.rglob("*.py"))


def upward() -> list[str]:
    """Imports from a wing above, as texts; there must be none."""
    return [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in files()
        for module in imports_of(path)
        if ORDER.index(wing_of(file_of(module))) < ORDER.index(wing_of(path))
    ]


def circle() -> list[str]:
    """Modules that import each other in a circle; there must be none."""
    graph = {path: {file_of(module) for module in imports_of(path)} for path in files()}
    done: set[Path] = set()

    def visit(path: Path, way: tuple[Path, ...]) -> list[str]:
        if path in way:
            return [str(p.relative_to(REPOSITORY)) for p in (*way[way.index(path) :], path)]
        if path in done:
            return []
        for other in sorted(graph[path]):
            if found := visit(other, (*way, path)):
                return found
        done.add(path)
        return []

    for path in graph:
        if found := visit(path, ()):
            return found
    return []


def main() -> None:
    """Print the wings."""
    sizes = {wing: [p for p in files() if wing_of(p) == wing] for wing in ORDER}
    lines = {wing: sum(len(p.read_text().splitlines()) for p in sizes[wing]) for wing in ORDER}
    counts = Counter(
        (wing_of(path), wing_of(file_of(module))) for path in files() for module in imports_of(path)
    )
    short = [wing if wing != BASE else "base" for wing in ORDER]
    print(f"{'':9} {'files':>6} {'lines':>6}  imports of " + "".join(f"{n:>10}" for n in short[1:]))
    for name, wing in zip(short, ORDER, strict=True):
        row = "".join(f"{counts[wing, other] or '.':>10}" for other in ORDER[1:])
        print(f"{name:9} {len(sizes[wing]):6} {lines[wing]:6}             {row}")
    print(f"{'all':9} {len(files()):6} {sum(lines.values()):6}")
    print(f"upward: {upward() or 'none'}; circles: {circle() or 'none'}")


if __name__ == "__main__":
    main()
