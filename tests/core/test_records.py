from dataclasses import dataclass, field
from typing import Any

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping


@dataclass(frozen=True)
class Pigment:
    red: int
    green: int = 0


@dataclass(frozen=True)
class Paint:
    name: str
    litres: float
    pigment: Pigment = Pigment(1)
    is_matt: bool = False
    layers: int = 1
    size: tuple[int, float, str] | None = None
    pigments: tuple[Pigment, ...] = ()
    by_name: dict[str, Pigment] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.litres < 0:
            raise RecordError("litres must not be negative")


LEAST = {"name": "blue", "litres": 1.5}


def test_fills_a_record_with_all_that_it_knows():
    paint = from_mapping(
        Paint,
        {
            **LEAST,
            "pigment": {"red": 3},
            "is_matt": True,
            "size": [1, 2, "m"],
            "pigments": [{"red": 1}, {"red": 2, "green": 5}],
            "by_name": {"sky": {"red": 4}},
            "extras": {"levels": 3, "filters": [1, 2], "nested": {"a": None}},
        },
        "paint.toml",
    )
    assert paint == Paint(
        "blue", 1.5, Pigment(3), True, 1, (1, 2.0, "m"), (Pigment(1), Pigment(2, 5)), {"sky": Pigment(4)},
        {"levels": 3, "filters": [1, 2], "nested": {"a": None}},
    )  # fmt: skip


def test_what_is_not_given_has_its_default():
    assert from_mapping(Paint, LEAST, "paint") == Paint("blue", 1.5)


def test_integers_serve_as_floats_and_become_them():
    litres = from_mapping(Paint, {"name": "blue", "litres": 2}, "paint").litres
    assert litres == 2.0 and isinstance(litres, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"litre": 3}, "paint has an unknown key 'litre'; did you mean 'litres'?"),
        ({"xyzzy": 3}, "paint has an unknown key 'xyzzy'; known keys: name, litres, pigment, is_matt, "),
        ({"pigment": {"red": 1, "gren": 2}}, "paint: pigment has an unknown key 'gren'; did you mean 'green'?"),
        ({"pigment": {}}, "paint: pigment lacks 'red'"),
        ({"pigment": 3}, "paint: pigment must be a table of keys and values, not 3"),
        ({"pigments": [{"red": 1}, {"red": "x"}]}, "paint: pigments[1]: red must be an integer, not 'x'"),
        ({"pigments": {"red": 1}}, "paint: pigments must be a list"),
        ({"by_name": {"sky": {"red": None}}}, "paint: by_name.sky: red must be an integer, not None"),
        ({"by_name": [1]}, "paint: by_name must be a table, not [1]"),
        ({"name": 3}, "paint: name must be a string, not 3"),
        ({"litres": "3"}, "paint: litres must be a number, not '3'"),
        ({"litres": True}, "paint: litres must be a number, not True"),
        ({"layers": True}, "paint: layers must be an integer, not True"),
        ({"layers": 2.0}, "paint: layers must be an integer, not 2.0"),
        ({"is_matt": 1}, "paint: is_matt must be true or false, not 1"),
        ({"size": [1, 2]}, "paint: size must have 3 values, not [1, 2]"),
        ({"size": [1, 2, "m", 4]}, "paint: size must have 3 values"),
        ({"size": [1, "x", "m"]}, "paint: size[1] must be a number, not 'x'"),
        ({"litres": -1}, "paint: litres must not be negative"),
    ],
)
def test_a_mistake_is_named(changes, message):
    with pytest.raises(RecordError) as caught:
        from_mapping(Paint, {**LEAST, **changes}, "paint")
    assert str(caught.value).startswith(message)


def test_every_missing_key_is_named():
    with pytest.raises(RecordError, match="^paint lacks 'name', 'litres'$"):
        from_mapping(Paint, {}, "paint")


@pytest.mark.parametrize("mapping", [[], "text", None, 3])
def test_what_is_no_mapping(mapping):
    with pytest.raises(RecordError, match="^paint must be a table of keys and values, not "):
        from_mapping(Paint, mapping, "paint")


def test_an_error_is_a_value_error():
    assert issubclass(RecordError, ValueError)


@pytest.mark.parametrize(
    "paint",
    [
        Paint("blue", 1.5),
        Paint("red", 2.0, Pigment(7, 8), True, 4, (1, 2.5, "m"), (Pigment(1), Pigment(2)), {"sky": Pigment(3)}),
        Paint("green", 0.0, extras={"recalibration": None, "filters": [1, 2]}),
    ],
)
def test_round_trip(paint):
    mapping = to_mapping(paint)
    assert from_mapping(Paint, mapping, "paint") == paint
    assert ("size" in mapping) == (paint.size is not None)  # None has no word in TOML


@pytest.mark.parametrize(("language", "content"), [("JSON", '{"a": [1, 2]}'), ("TOML", "a = [1, 2]")])
def test_files_of_either_language_are_read(language, content, tmp_path):
    (tmp_path / "file").write_text(content)
    assert read_mapping(tmp_path / "file", "thing", language) == {"a": [1, 2]}


@pytest.mark.parametrize("language", ["JSON", "TOML"])
@pytest.mark.parametrize("content", [b"{ a:", b'a = "\xff"'])
def test_files_that_are_no_such_language_are_named(language, content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RecordError, match=f"file is not valid {language}: "):
        read_mapping(tmp_path / "file", "thing", language)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(RecordError, match=f"^cannot read the thing {tmp_path}: Is a directory$"):
        read_mapping(tmp_path, "thing", "JSON")
