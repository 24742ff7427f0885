import gzip
import os
import socket
import time

import nibabel as nib
import numpy as np
import pytest
from scans_on_disk import mgh, refused, stored

from recalib_keras.core import memory
from recalib_keras.volumes import read, read_labels, reading

# nibabel leaves a plain .mgh file open when it reads the header.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


# Files that cannot be read


def test_missing_file(tmp_path):
    refused("got no such file", tmp_path / "none.nii.gz")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    refused("an empty file", tmp_path / name)


@pytest.mark.parametrize("name", ["notes.txt", "figure.png", "scan", "scan.gz", "scan.nii.bz2"])
def test_unsupported_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever")
    refused("unsupported ending", tmp_path / name)


@pytest.mark.parametrize("name", ["scan.nii", "scan.mgh", "scan.img", "scan.hdr"])
@pytest.mark.parametrize("size", [3, 400, 5000])
def test_random_bytes(tmp_path, rng, name, size):
    (tmp_path / name).write_bytes(b"\x00" + rng.bytes(size))
    refused("one of another format|side by side", tmp_path / name)


def test_random_bytes_compressed(tmp_path, rng):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(rng.bytes(1000)))
    refused("one of another format", tmp_path / "scan.nii.gz")


def test_a_wrong_ending_for_the_compression(tmp_path, scan_path):
    plain = tmp_path / "plain.nii.gz"
    plain.write_bytes(gzip.decompress(scan_path.read_bytes()))
    refused("rename it to end without '.gz'", plain)
    packed = scan_path.rename(tmp_path / "packed.nii")
    refused("rename it to end with '.gz'", packed)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_truncated_file(tmp_path, rng, name, kept):
    array = rng.normal(size=(20, 20, 20)).astype(np.float32)
    nib.save((nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image)(array, np.eye(4)), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(kept * len(data))])
    refused("damaged", tmp_path / name)


def test_damaged_compression(tmp_path, rng):
    nib.save(nib.Nifti1Image(rng.normal(size=(20, 20, 20)), np.eye(4)), tmp_path / "scan.nii.gz")
    data = bytearray((tmp_path / "scan.nii.gz").read_bytes())
    data[len(data) // 2] ^= 255  # still unpacks, to other values: only the checksum tells
    (tmp_path / "scan.nii.gz").write_bytes(data)
    refused("damaged", tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(("kept", "lost"), [("img", "hdr"), ("hdr", "img")])
def test_half_a_pair(tmp_path, intensities, kept, lost):
    nib.save(nib.Nifti1Pair(intensities, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / f"scan.{lost}").unlink()
    refused("side by side|damaged", tmp_path / f"scan.{kept}")


def test_an_in_memory_image_whose_file_is_gone(scan_path):
    image = nib.load(scan_path)
    scan_path.unlink()
    refused("truncated or damaged", image)


@pytest.mark.parametrize("name", ["scan.nii", "scan.img"])
def test_a_header_that_claims_more_than_the_file_holds(tmp_path, intensities, name):
    path = tmp_path / name
    nib.save((nib.Nifti1Pair if name.endswith("img") else nib.Nifti1Image)(intensities, np.eye(4)), path)
    header_path = path if path.suffix == ".nii" else path.with_suffix(".hdr")
    data = bytearray(header_path.read_bytes())
    data[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()  # dim[1:4]: 108 TB of float32
    header_path.write_bytes(data)
    refused("claims 108,000,000,000,000 bytes of voxels", path)


# Images that are not a single scan


@pytest.mark.parametrize("shape", [(5,), (5, 4)])
def test_too_few_axes(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.ones(shape, np.float32), np.eye(4)), tmp_path / "flat.nii")
    refused(f"expected a 3-D image, got a {len(shape)}-D one", tmp_path / "flat.nii")


def test_4d_without_a_volume(nibabel_data):
    refused(
        r"a 4-D image of 2 volumes; choose one from 0 to 1: --volume I, in Python volume=I, in a recipe volume = I",
        nibabel_data / "example4d.nii.gz",
    )


@pytest.mark.parametrize("volume", [2, -1, "1", 1.5])
def test_4d_with_a_volume_out_of_range(nibabel_data, volume):
    refused(f"a volume from 0 to 1 .*got volume {volume!r}", nibabel_data / "example4d.nii.gz", volume)


def test_3d_with_a_volume_out_of_range(scan_path):
    refused(r"\(the image has 1\), got volume 1", scan_path, 1)
    assert read(scan_path, volume=0).array.ndim == 3


def test_two_further_axes():
    refused(
        r"expected a 3-D or 4-D image, got shape \(3, 4, 5, 2, 2\)",
        nib.Nifti1Image(np.ones((3, 4, 5, 2, 2)), np.eye(4)),
        0,
    )


def test_no_voxels():
    refused("at least one voxel along each axis", nib.Nifti1Image(np.ones((3, 0, 5)), np.eye(4)))


def test_a_header_of_zero_sizes(tmp_path):
    refused("expected", stored(tmp_path / "scan.nii", dim=[3, 5, 0, 3, 1, 1, 1, 1]))
    refused("expected", stored(tmp_path / "scan.nii", dim=[0] * 8))


def test_colours(tmp_path):
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii")
    refused(r"got colours \(RGB\)", tmp_path / "rgb.nii")


def test_complex_numbers():
    refused("complex64", nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)))


# Names and kinds of files


@pytest.mark.parametrize("name", ["scan.Nii.Gz", "scan.nii.GZ", "scan.Nii", "scan.MGZ", "scan.Mgz", "scan.mGH"])
def test_endings_in_any_case(tmp_path, intensities, name):
    image = (nib.MGHImage if "m" in name.lower().rpartition(".")[2] else nib.Nifti1Image)(intensities, np.eye(4))
    nib.save(image, tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    volume = read(tmp_path / name)
    assert np.array_equal(volume.array, intensities) and volume.source == tmp_path / name


@pytest.mark.parametrize("image_class", [nib.Nifti1Pair, nib.Spm99AnalyzeImage])
@pytest.mark.parametrize(("header", "image"), [("X.HDR", "X.IMG"), ("x.hdr", "x.IMG"), ("x.Hdr", "x.img")])
def test_pairs_in_any_case(tmp_path, image_class, header, image):
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    nib.save(image_class(array, np.diag([-2.0, 2, 2, 1])), tmp_path / "y.img")
    (tmp_path / "y.hdr").rename(tmp_path / header)
    (tmp_path / "y.img").rename(tmp_path / image)
    if (tmp_path / "y.mat").exists():
        (tmp_path / "y.mat").rename((tmp_path / image).with_suffix(".mat"))
        (tmp_path / header).with_suffix(".mat").exists() or os.link(
            (tmp_path / image).with_suffix(".mat"), (tmp_path / header).with_suffix(".mat")
        )
    for name in (header, image):
        assert np.array_equal(read(tmp_path / name).array, array)


@pytest.mark.parametrize(("kept", "lost"), [("img", "hdr"), ("hdr", "img")])
def test_half_a_pair_names_the_missing_half(tmp_path, intensities, kept, lost):
    nib.save(nib.Nifti1Pair(intensities, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / f"scan.{lost}").unlink()
    refused(rf"side by side \(scan.{lost} beside it\), got only one of them; put", tmp_path / f"scan.{kept}")


def quickly(match, path, reader):
    before = time.process_time()  # a busy machine takes longer
    refused(match, path, reader=reader)
    assert time.process_time() - before < 1


@pytest.mark.parametrize("reader", [read, read_labels])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz", "scan.hdr", "scan.img", "scan"])
def test_pipes_are_not_opened(tmp_path, reader, name):
    os.mkfifo(tmp_path / name)
    quickly("expected a regular file, got a pipe; write the scan into a file first", tmp_path / name, reader)


@pytest.mark.parametrize("lost", ["hdr", "img", "mat"])
def test_a_pipe_beside_half_a_pair(tmp_path, lost):
    nib.save(nib.Spm99AnalyzeImage(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "scan.img")
    (tmp_path / f"scan.{lost}").unlink()
    os.mkfifo(tmp_path / f"scan.{lost}")
    quickly(
        f"scan.{lost}: expected a regular file, got a pipe",
        tmp_path / ("scan.img" if lost == "hdr" else "scan.hdr"),
        read,
    )


@pytest.mark.parametrize("reader", [read, read_labels])
def test_devices_and_sockets(tmp_path, reader):
    (tmp_path / "zero.nii").symlink_to("/dev/zero")
    quickly("got a device", tmp_path / "zero.nii", reader)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.nii"))
        quickly("got a socket", tmp_path / "s.nii", reader)


def test_folders_and_broken_links(tmp_path):
    (tmp_path / "folder.nii").mkdir()
    refused("got a folder with no DICOM images in it", tmp_path / "folder.nii")
    refused("expected a label map in one file .*, got a folder", tmp_path / "folder.nii", reader=read_labels)
    (tmp_path / "link.nii").symlink_to(tmp_path / "none.nii")
    refused("got no such file", tmp_path / "link.nii")
    (tmp_path / "a.nii").symlink_to(tmp_path / "a.nii")
    refused("expected the path of a scan, got Too many levels of symbolic links", tmp_path / "a.nii")
    refused("got no such file", tmp_path / "link.nii" / "scan.nii")


@pytest.mark.parametrize("reader", [read, read_labels])
def test_names_that_the_system_refuses(tmp_path, reader):
    with pytest.raises(ValueError, match=r"x…: expected the path of a scan, got a name that is too long") as caught:
        reader(tmp_path / ("x" * 5000 + ".nii"))
    assert len(str(caught.value)) < 250
    refused("expected the path of a scan, got embedded null byte", tmp_path / "a\0b.nii", reader=reader)


# Sizes are judged before anything of that size is read or allocated


def test_more_than_the_memory_holds(tmp_path, monkeypatch):
    path = stored(tmp_path / "scan.nii", dim=[3, 1000, 1000, 1000, 1, 1, 1, 1])
    os.truncate(path, 352 + 4 * 10**9)  # a hole, which takes no room on disk
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    for reader in (read, read_labels):
        quickly(r"expected room for 1,000,000,000 voxels, got too little memory \(3.7 GiB needed, 1.0", path, reader)


def bomb(path, bytes_behind, pack=gzip.open):
    content = path.read_bytes()
    with pack(path, "wb") as file:
        file.write(content)
        for _ in range(bytes_behind // 2**20):
            file.write(bytes(2**20))
    return path


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mgz"])
@pytest.mark.parametrize("reader", [read, read_labels])
def test_a_file_that_unpacks_to_far_more_than_its_header_says(tmp_path, name, reader):
    plain = (stored if "nii" in name else mgh)(tmp_path / name.replace("z", "h").replace(".gh", ""))
    path = bomb(plain, 2**28).rename(tmp_path / name)
    quickly(r"it unpacks to far more than the \d+ bytes that its header promises", path, reader)


def test_a_footer_and_further_volumes_are_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BEHIND", 2**10)
    array = np.arange(40 * 5 * 4 * 3 * 4, dtype=np.float32).reshape(40, 5, 4, 12)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "scan.nii.gz")
    assert np.array_equal(read(tmp_path / "scan.nii.gz", volume=0).array, array[..., 0])
    nib.save(nib.MGHImage(array, np.eye(4)), tmp_path / "scan.mgz")
    with gzip.open(tmp_path / "scan.mgz", "ab") as file:
        file.write(bytes(500))
    assert np.array_equal(read(tmp_path / "scan.mgz", volume=11).array, array[..., 11])


def test_voxels_that_begin_far_behind_the_header(tmp_path):
    path = bomb(stored(tmp_path / "scan.nii", vox_offset=2**28), 2**29)
    quickly(r"its header puts 268,435,456 bytes before the voxels", path.rename(tmp_path / "scan.nii.gz"), read)


def test_an_extension_that_claims_more_than_the_file_holds_is_not_read(tmp_path):
    path = stored(tmp_path / "scan.nii", vox_offset=2**20)
    data = bytearray(path.read_bytes())
    data[348:360] = bytes([1, 0, 0, 0]) + (2**31 - 16).to_bytes(4, "little") + (4).to_bytes(4, "little")
    path.write_bytes(data + bytes(2**20))
    assert read_labels(path).array.shape == (5, 4, 3)
