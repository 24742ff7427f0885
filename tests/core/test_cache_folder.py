import pytest

from recalib_keras.core import cache
from recalib_keras.core.errors import WriteError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache with 2 engines and 3 scans, in a folder that holds something else too."""
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path))
    for part, entries in (("engines", 2), ("scans", 3)):
        for number in range(entries):
            (tmp_path / part / f"{number}").mkdir(parents=True)
            (tmp_path / part / f"{number}" / "content").write_bytes(b"12345")
    (tmp_path / "thesis.txt").write_text("not ours")
    return tmp_path


def test_tells_its_size(folder):
    assert cache.use_of("scans") == (3, 15) and cache.use_of("engines") == (2, 10) and cache.use_of("files") == (0, 0)


def test_clears_a_part_and_nothing_else(folder):
    assert cache.clear("scans") == 15 and cache.clear("files") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["engines", "thesis.txt"]


def test_a_folder_that_cannot_be_removed(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache.shutil, "rmtree", refuse)
    with pytest.raises(WriteError, match="scans: expected a folder that can be removed, got 'Permission denied'; ch"):
        cache.clear("scans")


def test_the_digest_of_source_is_that_of_the_files_named():
    assert len({cache.source_digest("core"), cache.source_digest("core/cache.py"), cache.source_digest("layers")}) == 3
    for place in ("attic", "registration/digest.py"):
        with pytest.raises(ValueError, match=f"expected a package of recalib_keras, got '{place.partition('/')[0]}'"):
            cache.source_digest(place)
