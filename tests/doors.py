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
    return {module: set(_imported(module, files)) for module in files}


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
    """Returns a line for each circle of modules that import each other, found by depth-first search.

    The package itself offers its parts by name, and imports them only when a user asks for one.
    """
    found, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append("circle of imports: " + " → ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(imports.get(module, ()) if module != PACKAGE else ()):
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


def _imported(module: str, files: dict[str, Path]) -> Iterator[str]:
    """Yields what a module imports from the package: by statements, also relative ones, and by `import_module`."""
    tree = ast.parse(files[module].read_text(encoding="utf-8"))
    for node in _without_typing(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module, files[module])
            if source.split(".")[0] == PACKAGE:
                names = (f"{source}.{alias.name}" for alias in node.names)
                yield from (name if name in files else source for name in names)
        elif isinstance(node, ast.Call) and _called(node.func) == "import_module":
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            if name in files:
                yield name


def _source(node: ast.ImportFrom, module: str, path: Path) -> str:
    """Returns the full name of the module that an import statement imports from."""
    if not node.level:
        return node.module or ""
    parts = [*module.split("."), *(["__init__"] if path.name == "__init__.py" else [])]
    return ".".join([*parts[: -node.level], *([node.module] if node.module else [])])


def _called(function: ast.expr) -> str | None:
    return getattr(function, "attr", getattr(function, "id", None))


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
