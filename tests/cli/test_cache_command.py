import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "scans" / "one").mkdir(parents=True)
    (tmp_path / "cache" / "scans" / "one" / "image.npy").write_bytes(bytes(3 * 2**20))
    return tmp_path / "cache"


def test_shows_what_is_there(recalib, folder, capsys):
    assert recalib("cache") == 0
    first, *parts = capsys.readouterr().out.splitlines()
    assert first == str(folder) and [part.split()[0] for part in parts] == ["engines", "files", "presets", "scans"]
    assert parts[3].split() == ["scans", "3.0", "MiB", "1", "scans", "prepared", "for", "training"]


def test_clears_it(recalib, folder, capsys):
    assert recalib("cache", "--clear", "engines") == 0 and (folder / "scans").exists()
    assert recalib("cache", "--clear") == 0 and not (folder / "scans").exists()
    assert capsys.readouterr().out.splitlines() == [f"0 bytes freed in {folder}", f"3.0 MiB freed in {folder}"]


def test_another_part_is_refused(recalib, folder, capsys):
    with pytest.raises(SystemExit):
        recalib("cache", "--clear", "everything")
    assert "invalid choice: 'everything'" in capsys.readouterr().err
