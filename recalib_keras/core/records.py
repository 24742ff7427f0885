"""Typed records from the mappings that JSON and TOML files hold."""

import dataclasses
import json
import tomllib
import types
import typing
from pathlib import Path

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean

PARSERS = {"JSON": json.loads, "TOML": tomllib.loads}


def read_mapping(path, what, language):
    """Returns the content of a JSON or TOML file.

    Args:
        path: the file.
        what: what it describes, for messages, such as `"recipe"`.
        language: `"JSON"` or `"TOML"`.

    Raises:
        RecordError: if the file cannot be read, or is not of its language.
    """
    if Path(path).exists() and not Path(path).is_file():  # reading a pipe or a device may never end
        kind = "a folder" if Path(path).is_dir() else "a pipe or device"
        raise RecordError(file=path, expected=f"the file of a {what}", received=kind, remedy="give a file")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read the {what} {path}: {error.strerror}") from None
    try:
        return PARSERS[language](content.decode())
    except ValueError as error:  # that of either parser, or of the decoding
        raise RecordError(f"{path} is not valid {language}: {error}") from None


def from_mapping(record_class, mapping, where):
    """Returns an instance of a dataclass filled from a mapping, with every key and type checked.

    Nested dataclasses, `tuple[X, ...]`, `X | None`, `dict` and plain types are understood; integers serve as floats.

    Args:
        record_class: a dataclass.
        mapping: dict as read from JSON or TOML.
        where: what the mapping is, for messages, such as `"recipe.toml"`.

    Raises:
        RecordError: for an unknown key (the nearest known one is named), a missing key, or a value of another type.
    """
    if not isinstance(mapping, dict):
        raise RecordError(f"{where} must be a table of keys and values, not {mapping!r}")
    hints = typing.get_type_hints(record_class)
    fields = {field.name: field for field in dataclasses.fields(record_class) if field.init}
    check_keys(mapping, fields, where)
    missing = [name for name, field in fields.items() if name not in mapping and not _has_default(field)]
    if missing:
        raise RecordError(f"{where} lacks {', '.join(map(repr, missing))}")
    values = {key: _converted(hints[key], value, f"{where}: {key}") for key, value in mapping.items()}
    try:
        return record_class(**values)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def check_keys(mapping, known, where) -> None:
    """Checks that a mapping has known keys alone.

    Args:
        mapping: dict.
        known: the names of the keys it may have.
        where: what the mapping is, for messages.

    Raises:
        RecordError: for an unknown key; the nearest known one is named.
    """
    for key in mapping:
        if key not in known:
            hint = did_you_mean(key, known, otherwise=f"known keys: {', '.join(known)}")
            raise RecordError(f"{where} has an unknown key {key!r}; {hint}")


def to_mapping(record):
    """Returns the mapping that `from_mapping` would turn into this record; what is None is left out."""
    return dataclasses.asdict(record, dict_factory=lambda items: {k: v for k, v in items if v is not None})


def _has_default(field):
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _converted(expected, value, where):
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return _converted_to_any(arguments, value, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise RecordError(f"{where} must have {len(arguments)} values, not {value!r}")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_converted(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value)))
    if dataclasses.is_dataclass(expected):
        return from_mapping(expected, value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _converted(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if expected is typing.Any or _is_instance(value, origin or expected):
        return value
    raise RecordError(f"{where} must be {_described(expected)}, not {value!r}")


def _converted_to_any(choices, value, where):
    if value is None and type(None) in choices:
        return None
    error = None
    for choice in choices:
        try:
            return _converted(choice, value, where)
        except RecordError as raised:
            error = error or raised
    raise error


def _is_instance(value, kind):
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _described(expected):
    names = {float: "a number", int: "an integer", str: "a string", bool: "true or false", dict: "a table"}
    return names.get(expected) or names.get(typing.get_origin(expected)) or f"a list ({expected})"
