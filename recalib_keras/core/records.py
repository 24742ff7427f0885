"""Typed records from the mappings that JSON and TOML files hold."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from recalib_keras.core.checks import shown, type_hints
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file
from recalib_keras.core.messages import did_you_mean

# What TOML and JSON hold, by its type in Python: one of it, and several.
KINDS = {
    float: ("a number", "numbers"),
    int: ("an integer", "integers"),
    str: ("a string", "strings"),
    bool: ("true or false", "true or false"),
    dict: ("a table", "tables"),
    tuple: ("a list", "lists"),
}
PARSERS = {"JSON": json.loads, "TOML": tomllib.loads}

Record = TypeVar("Record")


def read_mapping(path: str | os.PathLike, what: str, language: str, remedy: str = "check the path") -> Any:
    """Returns the content of a JSON or TOML file.

    Args:
        path: The file.
        what: What it describes, for messages, such as `"recipe"`.
        language: `"JSON"` or `"TOML"`.
        remedy: What to do if the file cannot be read, for messages.

    Returns:
        A dict, as a rule: JSON files may hold other values. `from_mapping` checks that.

    Raises:
        RecordError: The file cannot be read, or is not written in the language.
    """
    content = read_file(path, f"a {what} that can be read", RecordError, remedy)
    try:
        return PARSERS[language](content.decode())
    except (ValueError, RecursionError) as error:  # raised by either parser, and by the decoding
        raise RecordError(
            file=path, expected=f"a {what} in valid {language}", received=str(error), remedy="correct the file"
        ) from None


def from_mapping(record_class: type[Record], mapping: Any, where: str | os.PathLike) -> Record:
    """Returns an instance of a dataclass filled from a mapping. Checks every key and type.

    Nested dataclasses, `tuple[X, ...]`, `X | None`, `dict` and plain types are understood; integers serve as floats.

    Args:
        record_class: A dataclass.
        mapping: A dict as read from JSON or TOML.
        where: The file that the mapping comes from, or what it is, for messages, such as `"recipe.toml"`.

    Raises:
        RecordError: An unknown key (the message names the nearest known one), a missing key, or a value of another
            type. Errors that the dataclass raises about its values get `where` in front.
    """
    return _record(record_class, mapping, _Place(where))


def check_keys(mapping: Iterable[str], known: Iterable[str], part: str) -> None:
    """Checks that a mapping has no other keys than the known ones.

    Args:
        mapping: The mapping, or its keys.
        known: Names of the keys that it may have.
        part: Where the mapping is in its file, for messages, such as `"network.arguments"`.

    Raises:
        RecordError: An unknown key; the message names the nearest known one.
    """
    _check_keys(mapping, known, _Place(None, (part,)))


def to_mapping(record: Any) -> dict[str, Any]:
    """Returns the mapping that `from_mapping` turns into this record again. Fields that are None are left out.

    Args:
        record: An instance of a dataclass.
    """
    return dataclasses.asdict(record, dict_factory=lambda items: {k: v for k, v in items if v is not None})


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a value stands: the file, and the path of keys inside it."""

    file: str | os.PathLike | None
    keys: tuple[str, ...] = ()

    def key(self, name):
        return _Place(self.file, (*self.keys, name))

    def item(self, name):
        """Returns the place of one value of a list (`[3]`) or of a dict (`.name`)."""
        return _Place(self.file, (*self.keys[:-1], "".join([*self.keys[-1:], name])))

    @property
    def part(self):
        return ": ".join(self.keys) or None

    def error(self, expected, received, remedy=None):
        return RecordError(file=self.file, part=self.part, expected=expected, received=received, remedy=remedy)


def _record(record_class, mapping, place):
    if not isinstance(mapping, Mapping):
        raise place.error("a table of keys and values", shown(mapping))
    hints = type_hints(record_class)
    fields = {field.name: field for field in dataclasses.fields(record_class) if field.init}
    _check_keys(mapping, fields, place)
    missing = [name for name, field in fields.items() if name not in mapping and not _has_default(field)]
    if missing:
        several = len(missing) > 1
        expected = f"the {'keys' if several else 'key'} {', '.join(map(repr, missing))}"
        raise place.error(expected, f"a table without {'them' if several else 'it'}", "add what is missing")
    values = {key: _converted(hints[key], value, place.key(key)) for key, value in mapping.items()}
    try:
        return record_class(**values)
    except RecordError as error:
        raise error.at(place.file, place.part) from None


def _check_keys(mapping, known, place):
    known = list(known)
    for key in mapping:
        if key not in known:
            hint = did_you_mean(key, known, otherwise=f"known keys: {', '.join(known)}")
            raise place.error("known keys", f"the unknown key {shown(key)}", hint)


def _has_default(field):
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _converted(expected, value, place):
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return _converted_to_any(arguments, value, place)
    if origin is tuple and isinstance(value, (list, tuple)):
        return _converted_items(arguments, value, place)
    if dataclasses.is_dataclass(expected):
        return _record(expected, value, place)
    if origin is dict and isinstance(value, dict):
        return {key: _converted(arguments[1], item, place.item(f".{key}")) for key, item in value.items()}
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value, place)
    if expected is typing.Any or _is_instance(value, origin or expected):
        return value
    raise place.error(_described(expected), shown(value))


def _converted_items(kinds, values, place):
    is_open = kinds[-1] is Ellipsis
    if not is_open and len(values) != len(kinds):
        raise place.error(f"{len(kinds)} values", shown(values))
    kinds = kinds[:1] * len(values) if is_open else kinds
    return tuple(_converted(kind, item, place.item(f"[{i}]")) for i, (kind, item) in enumerate(zip(kinds, values)))


def _as_float(value, place):
    try:
        return float(value)
    except OverflowError:
        raise place.error("a number below 1.8e308", f"an integer of {value.bit_length()} bits") from None


def _converted_to_any(choices, value, place):
    if value is None and type(None) in choices:
        return None
    errors = []
    for choice in choices:
        try:
            return _converted(choice, value, place)
        except RecordError as error:
            errors.append(error)
    raise errors[0]


def _is_instance(value, kind):
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _described(expected):
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is not tuple:
        return KINDS.get(origin or expected, ("a value of another type",))[0]
    several = KINDS.get(typing.get_origin(arguments[0]) or arguments[0], ("", "tables"))[1]
    return f"a list of {several}" if arguments[-1] is Ellipsis else f"a list of {len(arguments)} {several}"
