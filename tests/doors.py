"""Checks which folders of the package import which, and that no imports form a circle.

    python -m tests.doors

A folder may import folders of earlier levels, but no other folder of its own level and none of a later level. Imports
inside functions count, too. CONTRIBUTING.md lists the same levels.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "recalib_keras"
# The folders, lowest level first.
LEVELS = (
    ("core",),
    ("layers", "volumes", "transforms", "pipeline"),
    ("models", "datasets", "evaluation"),
    ("zoo",),
    ("synthesis", "inference"),
    ("training", "export", "reports"),
    ("tuning",),
    ("cli",),
)
# Modules beside the folders, at the top of the package: they name classes of any folder and import none.
BESIDE = {"registration"}
# Folders that may import less than their level allows.
NARROWER = {"layers": {"core"}, "models": {"core", "layers"}}


def problems(root: Path = ROOT) -> list[str]:
    """Returns every import that the levels forbid, and every circle of imports, one line each."""
    imports = read_imports(root)
    return [*forbidden(imports), *circles(imports)]


def read_imports(root: Path) -> dict[str, set[str]]:
    """Returns for each module of the package which modules of the package it imports."""
    files = {_module(path, root): path for path in _files(root)}
    return {module: set(_imported(path, files)) for module, path in files.items()}


def forbidden(imports: dict[str, set[str]]) -> list[str]:
    """Returns a line for each import of a folder that is not on an earlier level."""
    level_of = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
    found = []
    for module, targets in sorted(imports.items()):
        folder = _folder(module)
        if folder is None:
            continue
        if folder not in level_of:
            found.append(f"{module}: expected a folder of tests/doors.py, got {folder!r}; add it to LEVELS")
            continue
        allowed = {other for other, level in level_of.items() if level < level_of[folder]} & NARROWER.get(
            folder, set(level_of)
        )
        for target in sorted(targets):
            other = _folder(target)
            if other not in (None, folder) and other not in allowed:
                found.append(
                    f"{module}: expected imports from {', '.join(sorted(allowed)) or 'no folder'}, got {target}"
                )
    return found


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Returns a line for each circle of modules that import each other, found by depth-first search."""
    found, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append("circle of imports: " + " → ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(imports.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(imports):
        visit(module, [])
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder in (PACKAGE, "zoo", "tuning"):
        yield from (root / folder).rglob("*.py")


def _module(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] != PACKAGE:
        parts.insert(0, PACKAGE)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _folder(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] not in BESIDE else None


def _imported(path: Path, files: dict[str, Path]) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _without_typing(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in files else node.module


def _without_typing(tree: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes except those below `if TYPE_CHECKING:`, which never run."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


if __name__ == "__main__":
    lines = problems()
    print("\n".join(lines) or "all imports are allowed, and none form a circle")
    sys.exit(bool(lines))
