"""Pages over an output folder: by the batch that makes it, and over one that exists."""

import json
import re
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras import reports, volumes
from recalib_keras.cli.main import main
from recalib_keras.core.errors import RecordError, VolumeError
from recalib_keras.core.spreading.pool import Workers
from recalib_keras.inference import Segmenter, segment_all
from recalib_keras.reports.cohort import read_cohort


@pytest.fixture
def segment(bright_preset, tmp_path):
    """Runs `recalib segment` with the tiny preset on scans `a` and `b`, into `out`."""
    scans = [write_scan(tmp_path / "scans" / f"{name}.nii.gz", (2, 2, size)) for name, size in (("a", 2), ("b", 3))]

    def run(*arguments, scans=scans):
        command = ["segment", *scans, "-o", tmp_path / "out", "--preset", bright_preset, *arguments]
        return main([str(each) for each in command])

    return run


def written(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".html", ".png"))


PAGES = ["a_report.html", "a_thumbnail.png", "b_report.html", "b_thumbnail.png"]


def test_report_writes_a_page_of_each_scan_and_of_all(segment, tmp_path, capsys):
    assert segment("--report", "--engine", "keras", "--precision", "float32") == 0
    assert written(tmp_path / "out") == [*PAGES, "cohort.html"]
    output = capsys.readouterr().out
    assert f"page of the cohort in {tmp_path / 'out' / 'cohort.html'}" in output
    page = (tmp_path / "out" / "a_report.html").read_text(encoding="utf-8")
    sha256 = json.loads((tmp_path / "out" / "a_labels.json").read_text())["networks"][0]["sha256"]
    for text in ("<h1>a.nii.gz</h1>", sha256, "not stated", "0.02 <small>mL", "keras in float32"):
        assert text in page, text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page) and "url(" not in page.split("<body>")[0]


def test_report_of_a_single_scan(segment, tmp_path, capsys):
    assert segment("--report", scans=[tmp_path / "scans" / "a.nii.gz"]) == 0
    assert written(tmp_path / "out") == PAGES[:2]
    assert f"page of the scan in {tmp_path / 'out' / 'a_report.html'}" in capsys.readouterr().out


def test_missing_pages_are_made_again_without_segmenting_again(segment, tmp_path):
    segment()
    assert written(tmp_path / "out") == []
    labels = tmp_path / "out" / "a_labels.nii.gz"
    before = labels.stat().st_mtime_ns
    segment("--report")
    page = tmp_path / "out" / "a_report.html"
    assert written(tmp_path / "out") == [*PAGES, "cohort.html"] and labels.stat().st_mtime_ns == before
    assert "Mean<br>entropy" in page.read_text(encoding="utf-8")

    first = page.stat().st_mtime_ns
    (tmp_path / "out" / "b_report.html").unlink()
    segment("--report")
    assert written(tmp_path / "out") == [*PAGES, "cohort.html"] and page.stat().st_mtime_ns == first


def test_the_command_over_a_folder_that_exists(segment, tmp_path, capsys):
    segment()
    capsys.readouterr()
    assert main(["report", str(tmp_path / "out")]) == 0
    assert written(tmp_path / "out") == [*PAGES, "cohort.html"]
    assert "(2 new pages of scans)" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "out")]) == 0
    assert "(0 new pages of scans)" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "out"), "--overwrite"]) == 0
    assert "(2 new pages of scans)" in capsys.readouterr().out


def test_the_pages_of_command_and_batch_tell_the_same(segment, tmp_path):
    segment("--report")
    page = tmp_path / "out" / "a_report.html"
    by_batch = page.read_text(encoding="utf-8")
    main(["report", str(tmp_path / "out"), "--overwrite"])
    assert page.read_text(encoding="utf-8") == by_batch


def test_links_and_pictures_of_the_cohort_lead_somewhere(segment, tmp_path):
    odd = write_scan(tmp_path / "scans" / "two words & 50%#.nii.gz")
    segment("--report", scans=[odd, tmp_path / "scans" / "a.nii.gz"])
    page = (tmp_path / "out" / "cohort.html").read_text(encoding="utf-8")
    linked = [unquote(each) for each in re.findall(r'(?:href|src)="(\./[^"]+)"', page)]
    assert len(linked) == 4 and all((tmp_path / "out" / each).is_file() for each in linked)


def test_a_scan_that_is_gone_keeps_its_row(segment, tmp_path, capsys):
    segment()
    (tmp_path / "scans" / "a.nii.gz").unlink()
    assert main(["report", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "recalib report: " in output.err and "a.nii.gz" in output.err and output.err.count("\n") == 1
    page = (tmp_path / "out" / "cohort.html").read_text(encoding="utf-8")
    assert "no picture" in page and page.count('<tr><td class="picture">') == 2


def test_a_scan_on_another_grid(segment, tmp_path):
    segment()
    image = nib.load(tmp_path / "scans" / "a.nii.gz")
    nib.save(nib.Nifti1Image(image.get_fdata(), np.eye(4)), tmp_path / "scans" / "a.nii.gz")
    outcomes = reports.write_pages(tmp_path / "out")
    errors = [outcome.error for outcome in outcomes]
    assert errors[1] is None and isinstance(errors[0], VolumeError) and "on the grid of" in str(errors[0])


def test_a_manifest_of_an_earlier_version_suffices(segment, tmp_path):
    segment()
    path = tmp_path / "out" / "a_labels.json"
    manifest = json.loads(path.read_text())
    for key in ("reference_range", "own_asymmetry", "volume", "mean_entropy"):
        del manifest[key]
    manifest["structures"] = [
        {key: one[key] for key in ("name", "label", "voxels", "mm3", "mean_entropy")} for one in manifest["structures"]
    ]
    for network in manifest["networks"]:
        del network["licence"], network["trained_on"]
    path.write_text(json.dumps(manifest))
    (tmp_path / "out" / "b_labels.json").unlink()
    assert [outcome.error for outcome in reports.write_pages(tmp_path / "out")] == [None, None]
    assert "It is not recorded" in (tmp_path / "out" / "a_report.html").read_text(encoding="utf-8")


def test_a_damaged_manifest_names_its_file(segment, tmp_path):
    segment()
    path = tmp_path / "out" / "a_labels.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "structures": [{"name": "bright"}]}))
    error = reports.write_pages(tmp_path / "out")[0].error
    assert isinstance(error, RecordError) and "a_labels.json: expected a run manifest" in str(error)


@pytest.mark.parametrize("content", [None, "", "scan,structure,label,voxels,mm3,labels\n"])
def test_a_folder_without_results(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "volumes.csv").write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"recalib report: {tmp_path / 'volumes.csv'}: expected ") and output.count("\n") == 1


def test_a_folder_that_is_missing(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_scans_of_one_name_are_told_apart(write_table, tmp_path):
    write_table(tmp_path, 2)
    path = tmp_path / "volumes.csv"
    path.write_text(path.read_text().replace("sub-0001.nii.gz", "sub-0000.nii.gz"))
    page = reports.cohort_page(tmp_path).read_text(encoding="utf-8")
    assert '<th scope="row">sub-0000_labels.nii.gz</th>' in page and ">sub-0001_labels.nii.gz</th>" in page


def test_page_and_cohort_tell_the_same_entropy(segment, tmp_path):
    segment()
    path = tmp_path / "out" / "a_labels.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "mean_entropy": 0.123}))
    assert read_cohort(tmp_path / "out")[0].entropy == 0.123
    path.write_text(json.dumps({**manifest, "mean_entropy": 0.123, "structures": []}))  # of other labels
    assert read_cohort(tmp_path / "out")[0].entropy != 0.123


def test_the_mean_entropy_of_a_scan_weighs_by_voxels(write_table, tmp_path):
    write_table(tmp_path, 1)
    (scan,) = read_cohort(tmp_path)
    rows = [{**row, "voxels": voxels, "mean_entropy": entropy} for row, voxels, entropy in
            zip(scan.rows, ("10", "30", "0"), ("0.1", "0.2", ""))]  # fmt: skip
    assert type(scan)(tmp_path, scan.labels, rows).entropy == pytest.approx(0.175)


def test_python_needs_the_scan_or_its_file(segmentation, scan, tmp_path, bright_preset):
    with pytest.raises(VolumeError, match="expected a scan that was read from a file, got one from memory"):
        reports.scan_page(segmentation, tmp_path / "page.html")
    path = write_scan(tmp_path / "scans" / "head.nii.gz")
    segmenter = Segmenter.from_preset(bright_preset)
    page = reports.scan_page(segmenter(path), tmp_path / "new" / "page.html", segmenter=segmenter)
    assert f"<h1>{path.name}</h1>" in page.read_text(encoding="utf-8")
    assert segmenter.members[0][0].weight_set.sha256 in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_fails_the_scan_and_not_the_others(bright_preset, tmp_path):
    scans = [write_scan(tmp_path / "scans" / f"{name}.nii.gz") for name in ("a", "b")]
    (tmp_path / "out" / "a_report.html").mkdir(parents=True)
    (tmp_path / "out" / "a_report.html" / "file").touch()
    report = segment_all(scans, tmp_path / "out", Segmenter.from_preset(bright_preset), reporter=reports.ScanReporter())
    assert [outcome.scan for outcome in report.failed] == scans[:1]
    assert (tmp_path / "out" / "b_report.html").is_file()


def test_a_four_dimensional_scan(segment, tmp_path):
    image = nib.load(tmp_path / "scans" / "a.nii.gz")
    array = np.stack([np.zeros(image.shape, np.float32), image.get_fdata(dtype=np.float32)], axis=-1)
    path = tmp_path / "scans" / "series.nii.gz"
    nib.save(nib.Nifti1Image(array, image.affine), path)
    assert segment("--volume", "1", scans=[path]) == 0
    assert [outcome.error for outcome in reports.write_pages(tmp_path / "out")] == [None]
    labels = volumes.read_labels(tmp_path / "out" / "series_labels.nii.gz")
    assert (labels.array == 7).any()


def test_the_licence_comes_with_its_credits(segmentation, scan, tmp_path):
    labels = tmp_path / "head_labels.nii.gz"
    network = {
        "weights": "27 structures",
        "sha256": "0" * 64,
        "licence": "CC BY-NC 3.0: scans from the OASIS project, labels provided by Neuromorphometrics, Inc.",
        "trained_on": "15 scans",
    }
    page = reports.ScanReporter().write(scan, segmentation, labels, {"networks": [network], "scan": "head.nii.gz"})
    shown = page.read_text(encoding="utf-8")
    assert "<strong>CC BY-NC 3.0</strong>: scans from the OASIS project, labels provided by Neuromorphometrics" in shown
    assert "Trained on 15 scans." in shown


@pytest.mark.slow
def test_workers_make_pages(segment, tmp_path):
    segment()
    assert [outcome.error for outcome in reports.write_pages(tmp_path / "out", workers=Workers(2))] == [None, None]
    assert written(tmp_path / "out") == PAGES
    assert segment("--report", "--overwrite", "--workers", "2") == 0
