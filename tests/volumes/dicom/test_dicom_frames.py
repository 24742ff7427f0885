import numpy as np
import pytest
from made_series import SLICES, dicom_slice, frame_groups, item, multi_frame, pydicom, refused, write

from recalib_keras.volumes import read


@pytest.fixture
def written(tmp_path, pixels):
    """Return a function that writes a multi-frame file of given frames and returns its path."""

    def make(frames=None, shared=None, values=pixels, **tags):
        frames = [frame_groups(index) for index in range(SLICES)] if frames is None else frames
        write(multi_frame(values, frames, shared, **tags), tmp_path / "scan.dcm")
        return tmp_path / "scan.dcm"

    return make


def check(volume, pixels, slope=2, intercept=-5):
    np.testing.assert_array_equal(volume.array, (pixels * float(slope) + intercept).transpose(2, 1, 0))
    np.testing.assert_allclose(
        volume.grid.affine, [[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    )


def test_a_multi_frame_file_given_itself_or_by_its_folder(written, pixels):
    path = written()
    check(read(path), pixels)
    check(read(path.parent), pixels)
    check(read(path, volume=0), pixels)
    refused("got volume 1", path, volume=1)


def test_frames_in_any_order(written, pixels, rng):
    order = rng.permutation(SLICES)
    check(read(written([frame_groups(index) for index in order], values=pixels[order])), pixels)


def test_groups_of_each_frame_go_before_shared_ones(written, pixels):
    frames = [
        frame_groups(index, PixelValueTransformationSequence=[item(RescaleSlope=index + 1, RescaleIntercept=3)])
        for index in range(SLICES)
    ]
    volume = read(written(frames))
    slopes = np.arange(1.0, SLICES + 1)[:, None, None]
    np.testing.assert_array_equal(volume.array, (pixels * slopes + 3).transpose(2, 1, 0))


def test_the_same_voxels_as_the_classic_series(series, written, pixels):
    classic, enhanced = read(series(RescaleSlope=2, RescaleIntercept=-5)), read(written())
    np.testing.assert_array_equal(classic.array, enhanced.array)
    np.testing.assert_array_equal(classic.grid.affine, enhanced.grid.affine)


def test_a_compressed_multi_frame_file(written, pixels):
    path = written()
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    check(read(path), pixels)


def test_a_file_in_two_parts(written, pixels):
    """Concatenations split a large multi-frame file; each part has some of the frames."""
    path = written([frame_groups(index) for index in range(4)], values=pixels[:4])
    part = multi_frame(pixels[4:], [frame_groups(index) for index in (4, 5)], SOPInstanceUID="1.2.9")
    write(part, path.with_name("second.dcm"))
    check(read(path.parent), pixels)


def test_one_frame(written, pixels):
    volume = read(written([frame_groups(0)], values=pixels[:1]))
    assert volume.grid.spacing == pytest.approx((0.5, 0.75, 2.5))


def test_slices_missing_in_a_multi_frame_file(written, pixels):
    frames = [frame_groups(index) for index in (0, 1, 2, 4, 5)]
    refused(r"a gap of 5.00 mm between scan.dcm \(frame 3\) and scan.dcm \(frame 4\)",
            written(frames, values=pixels[:5]))  # fmt: skip


def test_all_frames_at_one_position(written):
    frames = [frame_groups(index, position=[10, 20, 30]) for index in range(SLICES)]
    refused("got all 6 slices at one position", written(frames))


def test_a_frame_of_another_direction(written):
    turned = [item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]
    frames = [frame_groups(i, **({"PlaneOrientationSequence": turned} if i == 3 else {})) for i in range(SLICES)]
    refused(r"slices of one ImageOrientationPatient.* in scan.dcm \(frame 4\)", written(frames))


def test_another_number_of_frames(written):
    error = refused(r"expected one item for each of 6 frames \(NumberOfFrames\), got 5 items",
                    written([frame_groups(index) for index in range(5)]))  # fmt: skip
    assert error.part == "PerFrameFunctionalGroupsSequence"


@pytest.mark.parametrize(
    ("group", "tag"),
    [("PlanePositionSequence", "ImagePositionPatient"), ("PlaneOrientationSequence", "ImageOrientationPatient"),
     ("PixelMeasuresSequence", "PixelSpacing")],
)  # fmt: skip
@pytest.mark.parametrize("value", [[], [item()]])
def test_a_frame_without_its_place(written, group, tag, value):
    frames = [frame_groups(index) for index in range(SLICES)]
    shared = {group: value}
    if group == "PlanePositionSequence":
        frames[2].PlanePositionSequence = value
        shared = {}
    error = refused(f"frame [13]: expected a DICOM slice with its place in space, got one without {tag}",
                    written(frames, shared))  # fmt: skip
    assert error.part in ("frame 1", "frame 3")


def test_a_damaged_value_of_a_frame(written):
    frames = [frame_groups(index) for index in range(SLICES)]
    frames[1].PlanePositionSequence[0].ImagePositionPatient = [1, 2]
    error = refused(r"expected 3 numbers, got 2: \[1\.0, 2\.0\]", written(frames))
    assert error.part == "frame 2: ImagePositionPatient"


def test_truncated_frames(written):
    path = written()
    path.write_bytes(path.read_bytes()[:-50])
    refused("scan.dcm: expected (readable pixels|a DICOM file)", path)


def test_a_classic_slice_is_one_frame(pixels, tmp_path):
    write(dicom_slice(0, pixels[0], SliceThickness=4), tmp_path / "a.dcm")
    assert read(tmp_path).grid.spacing == pytest.approx((0.5, 0.75, 4))


def test_a_mosaic_is_no_slice(series):
    error = refused(r"IM0: expected one slice in each file, got a mosaic of all slices .* \(ImageType MOSAIC\)",
                    series(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]))  # fmt: skip
    assert "dcm2niix" in error.remedy
