"""The code of docs/zoo.md runs as a user would type it, on two small scans."""

import re
from pathlib import Path

import nibabel as nib
import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "docs" / "zoo.md"


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


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scan = write_scans(tmp_path / "my_scans")
    (tmp_path / "scan.nii.gz").write_bytes(scan.read_bytes())
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 5
    names = {}
    for block in blocks:
        exec(block.replace("epochs=20", "epochs=1, verbose=0"), names)
    labels = nib.load("labels.nii.gz")
    assert labels.shape == (20, 24, 22) and np.allclose(labels.affine, nib.load("scan.nii.gz").affine)
    assert names["pyramid"].strides == {"encoder_1": 1, "encoder_2": 2, "encoder_3": 4, "bottleneck": 8}
    assert names["views"].output_shape == (None, 32, 48, 32, 33)
    assert not [path for path in names["regression"].weights if "classifier" in path.path]
