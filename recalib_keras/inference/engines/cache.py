"""What is remembered of a network on this machine: compiled networks, and which engine was selected."""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from functools import cache

from recalib_keras import __version__
from recalib_keras.core.cache import root as cache_root
from recalib_keras.core.cache import source_digest
from recalib_keras.core.errors import WriteError
from recalib_keras.core.files import write_bytes
from recalib_keras.core.processor import processor_description
from recalib_keras.core.records import to_mapping
from recalib_keras.core.versions import installed_versions
from recalib_keras.inference.engines.base import Candidate
from recalib_keras.inference.engines.keras_engine import backend, may_have_gpu
from recalib_keras.zoo import WeightSet

DIGEST_LENGTH = 64
PACKAGES = ("keras", "tensorflow", "openvino")  # whose versions matter
LAYOUT = 2  # of the cache; with another number, all existing content counts as missing


class Cache:
    """A folder of files for one network on one machine, each beginning with the SHA-256 of its content.

    Damaged content counts as missing, and so does all content once the weights, the description of the network, a
    version, or the machine has changed. A folder that cannot be written is not an error: nothing is remembered then.

    Args:
        weight_set: Describes the network.
    """

    def __init__(self, weight_set: WeightSet):
        self.folder = cache_root() / "engines" / _key(weight_set)[:32]

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file, or None if it is missing."""
        try:
            stored = (self.folder / name).read_bytes()
        except OSError:
            return None
        digest, content = stored[:DIGEST_LENGTH], stored[DIGEST_LENGTH:]
        return content if digest == _digest(content) else None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file."""
        try:
            write_bytes(self.folder / name, _digest(content) + content)
        except WriteError:
            pass

    def read_choice(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Returns the candidate that was selected among these before, or None."""
        content = self.read(_choice_file(candidates))
        return next((candidate for candidate in candidates if str(candidate).encode() == content), None)

    def write_choice(self, candidates: Sequence[Candidate], selected: Candidate) -> None:
        """Remembers which of the candidates was selected."""
        self.write(_choice_file(candidates), str(selected).encode())


def _choice_file(candidates):
    return "choice-" + "-or-".join(map(str, candidates))


def _digest(content):
    return hashlib.sha256(content).hexdigest().encode()


def _key(weight_set):
    """Returns a SHA-256 of all that a compiled network and its speed depend on."""
    facts = {
        "layout": LAYOUT,
        "weights": weight_set.sha256,
        "network": to_mapping(weight_set.network),
        "shape": weight_set.input.shape,
        "classes": len(weight_set.labels),
        "backend": backend(),
        "versions": dict.fromkeys(PACKAGES) | installed_versions(PACKAGES),
        "source": [__version__, source_digest("layers", "models")],
        "machine": _machine(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _machine():
    """Returns what speed depends on: the processor and what it can do, its cores, whether there is a GPU."""
    return [*processor_description(), platform.machine(), os.cpu_count(), may_have_gpu()]
