"""Segments the MNI152 template, a T1 MRI of a whole brain; writes labels, volumes and pictures to `demo-output/`.

Needs no download and no GPU: the template is part of the nilearn package, the weights are part of this one.
"""

import csv
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nibabel.spatialimages import SpatialImage

from recalib_keras import volumes
from recalib_keras.cli.main import main as recalib

OUTPUT = Path("demo-output")


def main() -> int:
    """Segments the template and returns the exit code."""
    print("The MNI152 template, 1 mm")
    return segment(template(), "mni152", "densenet3d_pe", "whole_brain", print_volumes)


def segment(
    image: SpatialImage, name: str, preset: str, weights: str, show: Callable[[list[dict[str, str]]], None]
) -> int:
    """Writes an image, segments it with the command, and prints where the results are.

    Args:
        image: The scan.
        name: The name of its file, without the suffix.
        preset: The name of the preset.
        weights: The name of the weight set.
        show: A function that prints the rows of the table of volumes.

    Returns:
        The exit code of the command.
    """
    scan = OUTPUT / f"{name}.nii.gz"
    volumes.save(image, scan)
    command = ["segment", str(scan), "-o", str(OUTPUT), "--preset", preset, "--weights", weights]
    command += ["--overlay", "--report", "--overwrite"]
    print(f"\n$ recalib {' '.join(command)}", flush=True)
    exit_code = recalib(command)
    if exit_code:
        return exit_code
    print()
    with (OUTPUT / "volumes.csv").open(newline="", encoding="utf-8") as file:
        show([row for row in csv.DictReader(file) if os.path.abspath(OUTPUT / row["scan"]) == os.path.abspath(scan)])
    print(f"\nlabels    {OUTPUT / f'{name}_labels.nii.gz'}")
    print(f"volumes   {OUTPUT / 'volumes.csv'}")
    print(f"picture   {OUTPUT / f'{name}_overlay.png'}")
    print(f"page      {OUTPUT / f'{name}_report.html'}  (open it in a browser)")
    return 0


def template() -> SpatialImage:
    """Returns the MNI152 T1 template (ICBM 2009, brain only) as a nibabel image, 1 mm."""
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError:
        raise SystemExit('the demo needs nilearn and matplotlib; run: pip install "recalib-keras[demo]"') from None
    return load_mni152_template(resolution=1)


def print_volumes(rows: Sequence[dict[str, str]]) -> None:
    """Prints the volumes, left and right side by side, and how much of the asymmetry is the network's own."""
    rows = {row["structure"]: row for row in rows}
    cm3 = {name: float(row["mm3"]) / 1000 for name, row in rows.items()}
    print(f"{'cm³':<28}{'left':>8}{'right':>8}  asymmetry  (network's own)")
    for name, row in rows.items():
        structure = name.removeprefix("left ")
        if structure != name:
            sides = f"{cm3[name]:8.2f}{cm3[f'right {structure}']:8.2f}"
            own = f"({float(row['own_asymmetry_percent']):.1f} %)" if row["own_asymmetry_percent"] else ""
            print(f"{structure:<28}{sides}{float(row['asymmetry_percent']):9.1f} %  {own:>15}")
        elif not name.startswith("right "):
            print(f"{name:<28}{cm3[name]:12.2f}")
    # The template's brain mask has 1.9 litres; a usual brain has about 1.4.
    print(f"{'together':<28}{sum(cm3.values()):12.2f}    (the template's head is larger than life)")


if __name__ == "__main__":
    sys.exit(main())
