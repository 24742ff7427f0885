"""The structure of the package: allowed imports, with violations reported, typed functions, and the wheel."""

import ast
import configparser
import itertools
from pathlib import Path

import pytest
from doors import PACKAGE, ROOT, problems


def test_the_package_has_only_allowed_imports():
    assert problems() == []


@pytest.fixture
def package(tmp_path):
    """Returns a function that writes modules of a made-up package and returns its problems."""
    for folder in ("zoo", "tuning"):
        (tmp_path / folder).mkdir()

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / PACKAGE / Path(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return problems(tmp_path)

    return write


def test_an_import_of_a_higher_level_is_reported(package):
    found = package(volumes__grid="from recalib_keras.zoo import preset", core__files="")
    assert found == ["recalib_keras.volumes.grid: expected imports from core, got recalib_keras.zoo"]


def test_an_import_inside_a_function_is_reported(package):
    found = package(layers__block="def f():\n    import recalib_keras.volumes.grid", volumes__grid="")
    assert found == ["recalib_keras.layers.block: expected imports from core, got recalib_keras.volumes.grid"]


@pytest.mark.parametrize(
    "text",
    [
        "from ..volumes import grid",
        "from ..volumes.grid import Grid",
        "import importlib\nimportlib.import_module('recalib_keras.volumes.grid')",
    ],
)
def test_relative_imports_and_those_by_name_count(text, package):
    found = package(layers__block=text, volumes__grid="")
    assert found == ["recalib_keras.layers.block: expected imports from core, got recalib_keras.volumes.grid"]


def test_an_import_of_the_same_level_is_reported(package):
    found = package(synthesis__maps="from recalib_keras.inference import gates", inference__gates="")
    assert len(found) == 1
    assert "got recalib_keras.inference.gates" in found[0]


def test_a_circle_is_reported(package):
    found = package(
        core__a="from recalib_keras.core import b",
        core__b="def f():\n    from recalib_keras.core.a import x",
    )
    assert found == ["circle of imports: recalib_keras.core.a → recalib_keras.core.b → recalib_keras.core.a"]


def test_imports_for_type_checkers_alone_are_allowed(package):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from recalib_keras.zoo import Preset"
    assert package(core__records=text) == []


def test_an_unknown_folder_is_reported(package):
    assert "add it to LEVELS" in package(attic__things="")[0]


def _public_functions():
    """Yields each public function of the package, and each public method of a public class, with its file."""
    for folder in (PACKAGE, "zoo", "tuning"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            classes = [node for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
            for node in itertools.chain(body, *(each.body for each in classes)):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield path.relative_to(ROOT), node


def test_public_functions_are_typed():
    untyped = [
        f"{path}:{node.lineno} {node.name}({argument.arg})"
        for path, node in _public_functions()
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg not in ("self", "cls") and argument.annotation is None
    ]
    assert untyped == []


def test_the_wheel_holds_every_package():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    folders = [path.parent for top in (PACKAGE, "zoo", "tuning") for path in (ROOT / top).rglob("__init__.py")]
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    names = {name if name.startswith(PACKAGE) else f"{PACKAGE}.{name}" for name in names}
    assert set(parser["options"]["packages"].split()) == names
