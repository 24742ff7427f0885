"""Segment the MNI152 template, a T1 MRI of a whole brain: labels, a table of volumes and a picture, in `demo-output/`.

Needs no download and no GPU: the template lies inside the nilearn package, the weights inside this one.
"""

import csv
import os
import sys
from pathlib import Path

from recalib_keras import volumes
from recalib_keras.cli.main import main as recalib

OUTPUT = Path("demo-output")
PRESET, WEIGHTS = "unet3d", "whole_brain"
NAME = "mni152"


def main():
    """Writes the template, runs the command on it, and says where everything is."""
    scan = OUTPUT / f"{NAME}.nii.gz"
    volumes.save(template(), scan)
    command = ["segment", str(scan), "-o", str(OUTPUT), "--preset", PRESET, "--weights", WEIGHTS]
    command += ["--overlay", "--overwrite"]
    print(f"The MNI152 template, 1 mm: {scan}")
    print(f"\n$ recalib {' '.join(command)}", flush=True)
    exit_code = recalib(command)
    if exit_code:
        return exit_code
    print()
    print_volumes(OUTPUT / "volumes.csv", scan)
    print(f"\nlabels    {OUTPUT / f'{NAME}_labels.nii.gz'}")
    print(f"volumes   {OUTPUT / 'volumes.csv'}")
    print(f"picture   {OUTPUT / f'{NAME}_overlay.png'}")
    return 0


def template():
    """Returns the MNI152 T1 template (ICBM 2009, brain only) as a nibabel image, 1 mm."""
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError:
        raise SystemExit('the demo needs nilearn and matplotlib; run: pip install "recalib-keras[demo]"') from None
    return load_mni152_template(resolution=1)


def print_volumes(table, scan):
    """Prints the rows of one scan from the table of volumes, left and right beside each other."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = {row["structure"]: row for row in csv.DictReader(file) if row["scan"] == os.path.abspath(scan)}
    cm3 = {name: float(row["mm3"]) / 1000 for name, row in rows.items()}
    print(f"{'cm³':<28}{'left':>8}{'right':>8}  asymmetry")
    for name, row in rows.items():
        structure = name.removeprefix("left ")
        if structure != name:
            sides = f"{cm3[name]:8.2f}{cm3[f'right {structure}']:8.2f}"
            print(f"{structure:<28}{sides}{float(row['asymmetry_percent']):9.1f} %")
        elif not name.startswith("right "):
            print(f"{name:<28}{cm3[name]:12.2f}")
    # Its brain mask holds 1.9 litres; usual are about 1.4.
    print(f"{'together':<28}{sum(cm3.values()):12.2f}    (the template's head is larger than life)")


if __name__ == "__main__":
    sys.exit(main())
