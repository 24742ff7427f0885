"""Header fields of NIfTI and MGH one by one, and every type of voxel with every scaling."""

from collections.abc import Iterator

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import header_dtype as MGH

from .cases import Case, Place, shuffled
from .scans import AFFINE, ARRAY, NIFTI, PLACE, SHAPE, compressed, mgh, nifti

FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-6, 1e6, 3e38, np.nan, np.inf, -np.inf)
# Fields that place the voxels or say what they are: with other values, the scan may be another one.
PLACING = ("dim", "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
           "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units", "datatype", "bitpix", "vox_offset",
           "scl_slope", "scl_inter", "magic", "sizeof_hdr", "eol_check")  # fmt: skip
MGH_PLACING = ("version", "dims", "type", "goodRASFlag", "delta", "Mdc", "Pxyz_c")


def nifti_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields NIfTI files with one odd header field, of both versions, plain and compressed; then with two or three."""
    single = [(version, name, value) for version in (1, 2) for name, value in _odd_fields(NIFTI[version][1])]
    for version, name, value in shuffled(rng, single):
        yield _nifti_case(version, {name: value}, rng.random() < 0.3)
    while True:
        chosen = [single[index] for index in rng.integers(0, len(single), rng.integers(2, 4))]
        yield _nifti_case(chosen[0][0], {name: value for _, name, value in chosen if _has(chosen[0][0], name)}, False)


def _has(version, name):
    names = NIFTI[version][1].template_dtype.names
    return name in names or name.rpartition("_")[0] in names


def _odd_fields(header_class):
    return [(name, value) for name, kind in _elements(header_class.template_dtype) for value in _odd_values(kind)]


def _elements(dtype):
    """Yields the name and the type of each number in a header; elements of arrays as `pixdim_1`."""
    for name in dtype.names:
        kind = dtype[name]
        if kind.shape and kind.base.kind != "S":
            for index in np.ndindex(kind.shape[:1]):
                yield f"{name}_{index[0]}", kind.base
        else:
            yield name, kind.base


def _odd_values(kind):
    if kind.kind == "f":
        return FLOATS
    if kind.kind == "S":
        return (b"", b"\xff" * kind.itemsize, b"=1+1|<b>\n"[: kind.itemsize])
    limits = np.iinfo(kind)
    return sorted({value for value in (0, 1, 2, 3, 7, 8, 255, 1000, -1, -2, limits.min, limits.max)
                   if limits.min <= value <= limits.max})  # fmt: skip


def _nifti_case(version, fields, is_compressed):
    is_placed = all(name in PLACING or name.rpartition("_")[0] in PLACING for name in fields)
    leaves_alone = not any(name in PLACING or name.rpartition("_")[0] in PLACING for name in fields)

    def write(folder):
        path = nifti(folder / "scan.nii", version, **fields)
        return compressed(path) if is_compressed else path

    places = (PLACE,) if leaves_alone or (not is_placed and leaves_alone) else _places(version, fields)
    return Case(f"NIfTI-{version}: {fields}{' gz' * is_compressed}", write, places=places,
                must="read" if leaves_alone else None)  # fmt: skip


def _places(version, fields):
    """Returns the grids that a header with one odd field may mean; none where the odd field changes the shape."""
    changed = {name.rpartition("_")[0] if name.rpartition("_")[2].isdigit() else name for name in fields}
    if changed & {"dim", "sizeof_hdr", "magic", "xyzt_units", "datatype"} or len(fields) > 1:
        return ()
    if changed & {"qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
                  "qoffset_z", "pixdim", "eol_check", "bitpix", "vox_offset", "scl_slope", "scl_inter"}:  # fmt: skip
        return (PLACE,) if "sform_code" not in changed else (PLACE, Place(SHAPE, AFFINE))
    affine = AFFINE.copy()
    for name, value in fields.items():
        if name.startswith("srow_"):
            affine["xyz".index(name[5]), int(name[7:])] = np.float32(value) if version == 1 else value
    return (PLACE, Place(SHAPE, affine))


def mgh_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields MGH and MGZ files with one odd header field."""
    elements = [(name, kind) for name, kind in _elements(MGH) if name not in ("Mdc",)]
    odd = [(name, value, suffix) for name, kind in elements for value in _odd_values(kind) for suffix in ("mgh", "mgz")]
    for name, value, suffix in shuffled(rng, odd):
        is_placing = name in MGH_PLACING or name.rpartition("_")[0] in MGH_PLACING
        yield Case(
            f"MGH: {name}={value!r} {suffix}",
            lambda folder, name=name, value=value, suffix=suffix: mgh(folder / f"scan.{suffix}", **{name: value}),
            places=() if is_placing else (PLACE,),
            must=None if is_placing else "read",
        )


def dtype_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields valid scans of every type of voxel, byte order and scaling; their values must be right."""
    kinds = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "rgb", "f16"]
    scalings = [(1.0, 0.0), (0.5, -3.0), (-2.0, 7.0), (0.0, 5.0), (np.nan, 0.0)]
    orders = ("<", ">")
    for kind, scaling, order in shuffled(rng, [(k, s, o) for k in kinds for s in scalings for o in orders]):
        yield _dtype_case(kind, scaling, order)


def _dtype_case(kind, scaling, order):
    slope, intercept = scaling
    is_scaled = np.isfinite(slope) and slope != 0

    def write(folder):
        dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]) if kind == "rgb" else np.dtype(f"{order}{kind}")
        array = ARRAY.astype(dtype) if kind != "rgb" else np.zeros(SHAPE, dtype)
        header = nib.Nifti1Header(endianness=order)
        header.set_data_shape(SHAPE)
        codes = {"f2": 16384, "rgb": 128, "f16": 1536}  # nibabel knows no code for float16
        header["datatype"] = codes[kind] if kind in codes else nib.nifti1.data_type_codes.code[np.dtype(kind)]
        header["bitpix"] = dtype.itemsize * 8
        header.set_sform(AFFINE, 1)
        header.set_xyzt_units("mm")
        header["vox_offset"], header["magic"] = 352, b"n+1"
        header["scl_slope"], header["scl_inter"] = slope, intercept
        path = folder / "scan.nii"
        path.write_bytes(header.binaryblock + bytes(4) + array.tobytes(order="F"))
        return path

    if kind in ("c8", "rgb"):
        return Case(f"type {kind}", write, must="refuse")
    if kind in ("f2", "f16"):
        return Case(f"type {kind}", write, places=(PLACE,))
    stored = ARRAY.astype(kind).astype(np.float64)
    values = stored * slope + intercept if is_scaled else stored
    return Case(f"type {order}{kind}, scaled by {scaling}", write, places=(PLACE,), values=values, must="read")
