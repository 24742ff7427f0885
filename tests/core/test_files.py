import errno
import json
import os
import stat
import tomllib

import pytest

from recalib_keras.core.errors import RecordError, WriteError
from recalib_keras.core.files import (
    atomic_write,
    check_lock_file,
    read_file,
    write_bytes,
    write_json,
    write_text,
    write_toml,
)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["scan.nii.gz", "table.csv", "plain", "a.b.c.nii.gz", "n" * 250 + ".csv"])
def test_writes_and_leaves_nothing_else(tmp_path, name):
    assert atomic_write(tmp_path / name, lambda temporary: temporary.write_text("new") and None) == tmp_path / name
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "new"


def test_the_temporary_file_lies_beside_with_the_same_ending(tmp_path):
    seen = []

    def write(temporary):
        seen.append(temporary)
        temporary.touch()

    atomic_write(tmp_path / "scan.nii.gz", write)
    assert seen[0].parent == tmp_path and seen[0].name.endswith(".nii.gz") and seen[0].name != "scan.nii.gz"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("x"), KeyboardInterrupt]
)
def test_a_failing_writer_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    path = tmp_path / "dice.csv"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise error

    expected = WriteError if isinstance(error, OSError) else type(error) if isinstance(error, Exception) else error
    with pytest.raises(expected) as caught:
        atomic_write(path, write)
    assert files(tmp_path) == ["dice.csv"]
    assert path.read_text() == "old"
    if expected is WriteError:
        assert "No space left on device" in str(caught.value) and "\n" not in str(caught.value)


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    path, events = tmp_path / "dice.csv", []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        events.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def note_replace(source, target):
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    atomic_write(path, lambda temporary: temporary.write_text("new"))
    assert events == [path.stat().st_ino, "replace", tmp_path.stat().st_ino]


def test_folders_that_cannot_be_synced_are_written_to(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    assert atomic_write(tmp_path / "dice.csv", lambda temporary: temporary.write_text("new")).read_text() == "new"


def test_a_failing_disk_keeps_the_old_file(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "dice.csv").write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError, match=r"expected to write .*dice.csv, got 'Input/output error'"):
        atomic_write(tmp_path / "dice.csv", lambda temporary: temporary.write_text("new"))
    assert files(tmp_path) == ["dice.csv"] and (tmp_path / "dice.csv").read_text() == "old"


def test_makes_missing_folders(tmp_path):
    path = tmp_path / "a" / "b" / "dice.csv"
    atomic_write(path, lambda temporary: temporary.write_text("new") and None)
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="check that its folder can be written"):
        atomic_write(tmp_path / "file" / "dice.csv", lambda temporary: temporary.touch())


def test_a_folder_of_that_name(tmp_path):
    (tmp_path / "dice.csv").mkdir()
    with pytest.raises(WriteError, match="expected to write"):
        atomic_write(tmp_path / "dice.csv", lambda temporary: temporary.touch())
    assert files(tmp_path) == ["dice.csv"]


def test_errors_keep_their_parts(tmp_path):
    (tmp_path / "dice.csv").mkdir()
    with pytest.raises(WriteError) as caught:
        write_text(tmp_path / "dice.csv", "")
    error = caught.value
    assert (error.file, error.received) == (tmp_path / "dice.csv", "Is a directory")
    assert error.expected == "a file that can be written" and "its disk has room" in error.remedy


CONTENT = {"name": "Größe", "spacing": [1.0, 1.5], "nested": {"a": 1}}


@pytest.mark.parametrize(
    ("write", "content", "read"),
    [
        (write_bytes, b"\x00\xff", bytes),
        (write_text, "Größe\r\n", bytes.decode),
        (write_json, CONTENT, json.loads),
        (write_toml, CONTENT, lambda content: tomllib.loads(content.decode())),
    ],
)
def test_writers_give_back_what_they_were_given(tmp_path, write, content, read):
    path = write(str(tmp_path / "new" / "file"), content)
    assert path == tmp_path / "new" / "file" and files(path.parent) == ["file"]
    assert read(path.read_bytes()) == content


@pytest.mark.parametrize(("indent", "text"), [(2, '{\n  "a": "ß"\n}\n'), (None, '{"a": "ß"}\n')])
def test_json_ends_with_a_line_break_and_keeps_letters(tmp_path, indent, text):
    assert write_json(tmp_path / "a.json", {"a": "ß"}, indent).read_text(encoding="utf-8") == text


def test_json_in_ascii_holds_names_that_are_no_utf_8(tmp_path):
    path = write_json(tmp_path / "a.json", {"a": "ß\udcff"}, None, ensure_ascii=True)
    assert path.read_bytes() == b'{"a": "\\u00df\\udcff"}\n' and json.loads(path.read_bytes()) == {"a": "ß\udcff"}


@pytest.mark.parametrize(("write", "content"), [(write_json, {"a": {1, 2}}), (write_toml, {"a": None})])
def test_content_that_cannot_be_written_keeps_the_old_file(tmp_path, write, content):
    (tmp_path / "file").write_text("old")
    with pytest.raises(TypeError):
        write(tmp_path / "file", content)
    assert files(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_reads_regular_files_only(tmp_path):
    (tmp_path / "good.toml").write_bytes(b"x = 1")
    assert read_file(tmp_path / "good.toml", "a recipe", RecordError) == b"x = 1"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**40)
    for path, received in (
        (tmp_path / "pipe", "a pipe"),
        (tmp_path, "a folder"),
        ("/dev/zero", "a device"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "good.toml" / "x", "no such file"),
        (tmp_path / "loop", "'Too many levels of symbolic links'"),
        (tmp_path / "large", "a file of 1,099,511,627,776 bytes"),
        (tmp_path / ("x" * 300), "'File name too long'"),
        (f"{tmp_path}/a\0b", "'embedded null byte'"),
    ):
        with pytest.raises(RecordError, match=f"expected a recipe, got {received}; check the path$"):
            read_file(path, "a recipe", RecordError)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("notes.txt")])
def test_refuses_a_lock_that_is_no_file(make, tmp_path):
    check_lock_file(tmp_path / "lock", RecordError)
    (tmp_path / "notes.txt").write_text("mine")
    check_lock_file(tmp_path / "notes.txt", RecordError)
    make(tmp_path / "lock")
    with pytest.raises(RecordError, match=r"lock: expected a lock file, got a (folder|pipe|link); move it away"):
        check_lock_file(tmp_path / "lock", RecordError)
    assert (tmp_path / "notes.txt").read_text() == "mine"
