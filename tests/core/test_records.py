from dataclasses import dataclass, field
from typing import Any

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import check_keys, from_mapping, read_mapping, to_mapping


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
            raise RecordError(expected="litres to be at least 0", received=str(self.litres))


LEAST = {"name": "blue", "litres": 1.5}


def test_fills_all_fields():
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


def test_missing_keys_get_their_default():
    assert from_mapping(Paint, LEAST, "paint") == Paint("blue", 1.5)


def test_integers_become_floats():
    litres = from_mapping(Paint, {"name": "blue", "litres": 2}, "paint").litres
    assert litres == 2.0 and isinstance(litres, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"litre": 3}, "paint: expected known keys, got the unknown key 'litre'; did you mean 'litres'?"),
        (
            {"xyzzy": 3},
            "paint: expected known keys, got the unknown key 'xyzzy'; known keys: name, litres, pigment, is_matt, ",
        ),
        (
            {"pigment": {"red": 1, "gren": 2}},
            "paint: pigment: expected known keys, got the unknown key 'gren'; did you mean 'green'?",
        ),
        ({"pigment": {}}, "paint: pigment: expected the key 'red', got a table without it"),
        ({"pigment": 3}, "paint: pigment: expected a table of keys and values, got 3"),
        ({"pigments": [{"red": 1}, {"red": "x"}]}, "paint: pigments[1]: red: expected an integer, got 'x'"),
        ({"pigments": {"red": 1}}, "paint: pigments: expected a list"),
        ({"by_name": {"sky": {"red": None}}}, "paint: by_name.sky: red: expected an integer, got None"),
        ({"by_name": [1]}, "paint: by_name: expected a table, got [1]"),
        ({"name": 3}, "paint: name: expected a string, got 3"),
        ({"litres": "3"}, "paint: litres: expected a number, got '3'"),
        ({"litres": True}, "paint: litres: expected a number, got True"),
        ({"layers": True}, "paint: layers: expected an integer, got True"),
        ({"layers": 2.0}, "paint: layers: expected an integer, got 2.0"),
        ({"is_matt": 1}, "paint: is_matt: expected true or false, got 1"),
        ({"size": [1, 2]}, "paint: size: expected 3 values, got [1, 2]"),
        ({"size": [1, 2, "m", 4]}, "paint: size: expected 3 values"),
        ({"size": [1, "x", "m"]}, "paint: size[1]: expected a number, got 'x'"),
        ({"litres": -1}, "paint: expected litres to be at least 0, got -1.0"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(RecordError) as caught:
        from_mapping(Paint, {**LEAST, **changes}, "paint")
    assert str(caught.value).startswith(message)


def test_every_missing_key_is_named():
    with pytest.raises(
        RecordError, match=r"^paint: expected the keys 'name', 'litres', got a table without them; add what is missing$"
    ):
        from_mapping(Paint, {}, "paint")


@pytest.mark.parametrize("mapping", [[], "text", None, 3])
def test_other_values_than_mappings(mapping):
    with pytest.raises(RecordError, match=r"^paint: expected a table of keys and values, got "):
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
    assert ("size" in mapping) == (paint.size is not None)  # TOML has no null


@pytest.mark.parametrize(("language", "content"), [("JSON", '{"a": [1, 2]}'), ("TOML", "a = [1, 2]")])
def test_reads_json_and_toml(language, content, tmp_path):
    (tmp_path / "file").write_text(content)
    assert read_mapping(tmp_path / "file", "thing", language) == {"a": [1, 2]}


@pytest.mark.parametrize("language", ["JSON", "TOML"])
@pytest.mark.parametrize("content", [b"{ a:", b'a = "\xff"'])
def test_invalid_files_are_named(language, content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RecordError, match=rf"file: expected a thing in valid {language}, got .*; correct the file$"):
        read_mapping(tmp_path / "file", "thing", language)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(
        RecordError, match=rf"^{tmp_path}: expected a thing that can be read, got a folder; check the path$"
    ):
        read_mapping(tmp_path, "thing", "JSON")


def test_errors_keep_file_and_key():
    with pytest.raises(RecordError) as caught:
        from_mapping(Paint, {**LEAST, "pigments": [{"red": "x"}]}, "paint.toml")
    error = caught.value
    assert (error.file, error.part) == ("paint.toml", "pigments[0]: red")
    assert (error.expected, error.received) == ("an integer", "'x'")


def test_errors_of_a_nested_record_name_its_key():
    @dataclass(frozen=True)
    class Wall:
        paint: Paint

    with pytest.raises(
        RecordError, match=r"^wall.toml: paint: expected litres to be at least 0, got -1.0; correct this value$"
    ) as caught:
        from_mapping(Wall, {"paint": {**LEAST, "litres": -1}}, "wall.toml")
    assert (caught.value.file, caught.value.part) == ("wall.toml", "paint")


def test_an_integer_beyond_floats():
    with pytest.raises(
        RecordError, match=r"^paint: litres: expected a number below 1.8e308, got an integer of 4001 bits"
    ):
        from_mapping(Paint, {"name": "blue", "litres": 2**4000}, "paint")


def test_check_keys_takes_any_iterable_of_names():
    check_keys(["a"], iter("ab"), "call")
    with pytest.raises(RecordError, match=r"^call: expected known keys, got the unknown key 'c'; known keys: a, b$"):
        check_keys({"c": 1}, iter("ab"), "call")
