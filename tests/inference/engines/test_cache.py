import dataclasses

import pytest

from recalib_keras import zoo
from recalib_keras.core.cache import root as cache_folder
from recalib_keras.inference.engines import cache as cache_module
from recalib_keras.inference.engines.cache import Cache
from recalib_keras.inference.engines.keras_engine import backend


@pytest.fixture
def described(bright_preset):
    return zoo.weight_set(bright_preset)


def test_gives_back_what_was_written(described, empty_cache):
    assert Cache(described).read("a.blob") is None and not empty_cache.exists()
    Cache(described).write("a.blob", b"content")
    Cache(described).write("a.blob", b"new content")
    assert Cache(described).read("a.blob") == b"new content" and Cache(described).read("b.blob") is None
    assert [path.name for path in empty_cache.rglob("*") if path.is_file()] == ["a.blob"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?", lambda b: b[:30], lambda b: b"", bytes.upper]
)
def test_damaged_content_counts_as_missing(damage, described, empty_cache):
    cache = Cache(described)
    cache.write("a.blob", b"content" * 10)
    path = cache.folder / "a.blob"
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read("a.blob") is None
    cache.write("a.blob", b"again")
    assert cache.read("a.blob") == b"again"


def test_a_cache_that_cannot_be_written_is_no_error(described, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "file"))
    cache = Cache(described)
    cache.write("a.blob", b"content")
    assert cache.read("a.blob") is None


def test_every_fact_that_a_compiled_network_depends_on_has_a_folder_of_its_own(described, empty_cache, monkeypatch):
    smaller = dataclasses.replace(described.input, window=(8, 8, 16))
    deeper = dataclasses.replace(described.network, arguments={"levels": 2, "filters": 2})
    folders = {
        Cache(described).folder,
        Cache(dataclasses.replace(described, sha256="0" * 64)).folder,
        Cache(dataclasses.replace(described, input=smaller)).folder,
        Cache(dataclasses.replace(described, network=deeper)).folder,
        Cache(dataclasses.replace(described, labels=(*described.labels, zoo.Label(9, "more")))).folder,
    }
    for fact in ("installed_versions", "source_digest", "_machine", "backend"):
        with monkeypatch.context() as patch:
            patch.setattr(cache_module, fact, lambda *_: {"keras": "another"})
            folders.add(Cache(described).folder)
    assert len(folders) == 9
    renamed = dataclasses.replace(described, title="another", score={"dice": 0.5})
    assert Cache(renamed).folder == Cache(described).folder


def test_where_the_cache_lies(tmp_path, monkeypatch):
    monkeypatch.delenv("RECALIB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "recalib_keras"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "recalib_keras"
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_the_key_names_the_backend_in_use(described, empty_cache, monkeypatch):
    before = Cache(described).folder
    monkeypatch.setattr(cache_module, "backend", lambda: "jax" if backend() != "jax" else "torch")
    assert Cache(described).folder != before
