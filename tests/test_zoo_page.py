"""The code of docs/zoo.md, and the example of fine-tuning in the README, run as typed, on two small scans."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from recalib_keras import zoo

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "docs" / "zoo.md", ROOT / "README.md"
# One epoch is enough to see that it runs, and the fastest engine need not be found.
SHORTER = {
    "epochs=20": "epochs=1, verbose=0",
    'preset="presets/lesions")': 'preset="presets/lesions", engine="keras", precision="float32")',
}


def write_scans(folder):
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for index in range(2):
        labels = np.zeros((20, 24, 22), "uint8")
        labels[8:14, 9:15, 8:14] = 1
        image = rng.normal(100, 5, labels.shape) + 80 * labels
        for kind, array in (("images", image.astype("float32")), ("labels", labels)):
            nib.save(nib.Nifti1Image(array, np.diag([-1.0, 1.0, 1.2, 1.0])), folder / kind / f"scan_{index}.nii.gz")
    return folder / "images" / "scan_0.nii.gz"


def blocks_of(page, shorter=()):
    text = page.read_text(encoding="utf-8")
    for typed, briefer in dict(shorter).items():
        assert typed in text
        text = text.replace(typed, briefer)
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: `my_scans`, and a scan with its label map beside it."""
    monkeypatch.chdir(tmp_path)
    scan = write_scans(tmp_path / "my_scans")
    (tmp_path / "scan.nii.gz").write_bytes(scan.read_bytes())
    (tmp_path / "lesions.nii.gz").write_bytes((tmp_path / "my_scans" / "labels" / scan.name).read_bytes())
    return tmp_path


@pytest.mark.slow
def test_the_code_of_the_page_runs(here):
    names = {}
    for block in blocks_of(PAGE):
        exec(block, names)
    labels = nib.load("labels.nii.gz")
    assert labels.shape == (20, 24, 22) and np.allclose(labels.affine, nib.load("scan.nii.gz").affine)
    assert names["pyramid"].strides == {"encoder_1": 1, "encoder_2": 2, "encoder_3": 4, "bottleneck": 8}
    assert names["views"].output_shape == (None, 32, 48, 32, 33)
    assert not [weight for weight in names["regression"].weights if "classifier" in weight.path]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::recalib_keras.inference.UnfamiliarScanWarning")  # one epoch may find nothing
def test_the_example_of_the_readme_runs(here):
    (block,) = (one for one in blocks_of(README, SHORTER) if "zoo.save" in one)
    exec(block, {})
    assert zoo.info("presets/lesions").weight_sets["fine_tuned"].labels[1].name == "lesion"
