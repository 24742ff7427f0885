"""Say in a NIfTI header where voxels stand, and how certain that is."""

import nibabel as nib
import numpy as np

from recalib_keras.volumes.headers import is_nifti, is_plain_analyze, is_unplaced

# What qform and sform may claim of the place they tell: where the scanner saw it, or where something else put it.
SCANNER, ALIGNED = 1, 2


def placement_codes(header) -> tuple[int, int]:
    """Return the codes of qform and sform that claim no more of a place than the header that it was read from.

    A NIfTI header's own, and "scanner" for both where a scanner or FreeSurfer wrote the place. Analyze, and MGH without
    valid geometry, say at most what some program made of the scan. No code of NIfTI says "assumed", and with both codes
    0 readers disregard the affine and guess left and right: the sform is called "aligned", as nibabel calls an affine
    whose origin it does not know, and the qform, whose code "scanner" some readers trust more, is not set.

    Args:
        header: A header as `read` keeps it, or None.
    """
    if is_nifti(header):
        return int(header["qform_code"]), int(header["sform_code"])
    if is_plain_analyze(header) or is_unplaced(header):
        return 0, ALIGNED
    return SCANNER, SCANNER


def place(header: nib.Nifti1Header, affine: np.ndarray, qform_code: int = SCANNER, sform_code: int = SCANNER) -> None:
    """Set qform and sform of `header` to `affine` (mm), with their codes (1 = scanner, 2 = aligned, 0 = not set).

    A qform holds rotations and voxel sizes alone. Where the affine is sheared (a tilted gantry) it would tell a wrong
    place, so it is left unset; one of the two is always set, the sform as "aligned" if neither is asked for.
    """
    header.set_xyzt_units("mm")
    header.set_qform(affine, code=qform_code)
    if not np.allclose(header.get_qform(), affine, atol=1e-2):
        header.set_qform(None, code=0)
        sform_code = sform_code or qform_code
    header.set_sform(affine, code=sform_code if qform_code or sform_code else ALIGNED)
