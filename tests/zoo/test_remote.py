"""Presets from a server on loopback: fetched once, checked, and offline after that."""

import functools
import http.server
import shutil
import threading

import pytest

from recalib_keras import zoo
from recalib_keras.core import cache
from recalib_keras.core.errors import RecordError
from recalib_keras.zoo.places import remote

pytest.importorskip("pooch")


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, bright_preset, monkeypatch):
    """A server with the preset `bright`, under its folder and as in a repository of the Hub, and a new cache."""
    shutil.copytree(bright_preset, tmp_path / "files" / "owner" / "repository" / "resolve" / "v1" / "bright")
    handler = functools.partial(Handler, directory=tmp_path / "files")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.seen, running.url = [], f"http://127.0.0.1:{running.server_port}"
        running.folder = f"{running.url}/owner/repository/resolve/v1/bright"
        running.files = tmp_path / "files" / "owner" / "repository" / "resolve" / "v1" / "bright"
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("form", ["hf://owner/repository@v1/bright", "{0}", "{0}/", "{0}/preset.json"])
def test_fetched_once_and_offline_after_that(server, form, bright_preset):
    name = form.format(server.folder)
    described = zoo.weight_set(name)
    assert (described.title, server.seen) == ("what is bright", [f"{server.folder[len(server.url) :]}/preset.json"])
    assert described.read_weights().keys() == zoo.weight_set(bright_preset).read_weights().keys()
    assert len(server.seen) == 2
    server.shutdown()
    server.server_close()
    model = zoo.load(name)
    assert model.output_shape == (None, 8, 8, 8, 2) and len(server.seen) == 2
    assert cache.use_of("presets").entries == 1 and cache.clear("presets") > 0
    with pytest.raises(ValueError, match="check the address, the revision and the connection"):
        zoo.weight_set(name)


def test_a_preset_at_the_root_of_a_repository(server):
    for file in server.files.iterdir():
        shutil.copy(file, server.files.parent)
    described = zoo.weight_set("hf://owner/repository@v1")
    assert described.title == "what is bright" and described.read_weights()
    assert zoo.load("hf://owner/repository@v1/").output_shape == (None, 8, 8, 8, 2)


def test_other_weights_than_described_are_refused_and_not_kept(server):
    (server.files / "bright.safetensors").write_bytes(b"other")
    with pytest.raises(
        zoo.WeightsError, match=r"bright/bright.safetensors: expected weights with SHA-256 [0-9a-f]{64}, got"
    ):
        zoo.weight_set(server.folder).read_weights()
    assert not list((server.files.parents[5] / "cache").rglob("*.safetensors"))


def test_a_pinned_description(server, bright_preset):
    digest = zoo.weights.sha256((bright_preset / "preset.json").read_bytes())
    assert zoo.info(f"{server.folder}#sha256={digest}").name == "bright"
    with pytest.raises(RecordError, match=r"expected a preset.json under this address, got .*"):
        zoo.info(f"{server.folder}#sha256={'0' * 64}")


def test_nothing_under_the_address(server):
    with pytest.raises(RecordError, match=r"/gone: expected a preset.json under this address, got 404"):
        zoo.load(f"{server.url}/gone")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("hf://owner/repository", "got another form; give"),
        ("hf://owner/repository/bright", "got another form; give a tag or the hash of a commit"),
        ("hf://owner/repository@main/bright", "got the branch 'main'; give a tag or the hash of a commit"),
        ("hf://owner/repository@v1/../bright", "got another form"),
        ("http://example.org/bright", "expected an address that begins with https://"),
        ("https://example.org", "expected the address of a preset's folder, got none"),
        ("https://example.org/bright#sha256=12", "expected #sha256= and 64 hexadecimal digits"),
    ],
)
def test_addresses_that_do_not_fit(name, problem):
    with pytest.raises(RecordError, match=problem):
        zoo.info(name)


def test_without_pooch_the_command_that_installs_it_is_named(server, monkeypatch):
    monkeypatch.setattr(remote.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r'needs pooch, which is not installed; run: pip install "recalib-keras\[hub\]"'
    ):
        zoo.info(server.folder)
