"""The container files copy what exists and install extras that exist. (Building one needs a daemon and the network.)"""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKER, APPTAINER = ROOT / "containers" / "Dockerfile", ROOT / "containers" / "apptainer.def"


def sources(path):
    text = path.read_text(encoding="utf-8")
    if path == DOCKER:
        return {word for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for word in line.split()}
    return set(re.findall(r"^    (\S+) /opt/recalib-keras/$", text, re.M))


@pytest.mark.parametrize("path", [DOCKER, APPTAINER], ids=lambda path: path.name)
def test_files_and_extras_exist(path):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', path.read_text(encoding="utf-8"))
    assert set(extras.split(",")) <= set(setup["options.extras_require"])
    assert {"setup.py", "setup.cfg", "recalib_keras", "zoo", "tuning"} <= sources(path)
    assert all((ROOT / name).exists() for name in sources(path))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not sources(path) & set(ignored)


def test_both_are_the_same_bids_app_of_no_root():
    docker, apptainer = DOCKER.read_text(encoding="utf-8"), APPTAINER.read_text(encoding="utf-8")
    assert sources(DOCKER) == sources(APPTAINER)
    assert 'ENTRYPOINT ["recalib", "bids"]' in docker and 'exec recalib bids "$@"' in apptainer
    assert docker.index("USER recalib") < docker.index("ENTRYPOINT")
