"""The table of presets: its filters, its order, the tests of significance behind it, and how it prints."""

import numpy as np
import pytest
from views import write_views

from recalib_keras import zoo
from recalib_keras.evaluation import Measures, Report, Row
from recalib_keras.zoo import licences
from recalib_keras.zoo.pages import evidence
from recalib_keras.zoo.pages.listing import Shelf
from recalib_keras.zoo.places import installed
from recalib_keras.zoo.preset import Preset, WeightSet


def write_preset(root, name, dice, licence="CC BY 4.0", scores=None, **arguments):
    """Writes a preset with one weight set `balls`, and its report of the Dice of each scan."""
    described = WeightSet(
        title="balls",
        network=zoo.Network("SDNet" if name.startswith("sdnet") else "UNet", arguments),
        input=zoo.Input((8, 8, 8)),
        labels=(zoo.Label(0, "background"), zoo.Label(1, "ball")),
        file="balls.safetensors",
        sha256="",
        parameters=10,
        data={"licence": licence},
        score={} if dice is None else {"dice": dice},
    )
    folder = root / name
    folder.mkdir()
    (folder / "preset.json").write_text(Preset(name, {"balls": described}).to_json(), encoding="utf-8")
    (folder / described.file).write_bytes(bytes(2_500_000))
    if scores is not None:
        rows = tuple(Row(f"scan {i}", "ball", 1, Measures(dice=score)) for i, score in enumerate(scores))
        Report(rows).write(folder / "balls.csv")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A zoo of four presets of balls and one of three views, in the place of the shipped one."""
    rng = np.random.default_rng(0)
    plain = rng.uniform(0.7, 0.8, 12)
    write_preset(tmp_path, "unet3d", 0.75, scores=plain)
    write_preset(
        tmp_path, "unet3d_pe", 0.8, "cc by-nc 3.0: of mine", plain + rng.uniform(0.02, 0.08, 12), recalibration="pe"
    )
    write_preset(tmp_path, "unet3d_cse", 0.76, scores=plain + rng.normal(0, 0.05, 12), recalibration="cse")
    write_preset(tmp_path, "sdnet2d", None, "MIT")
    write_views(tmp_path / "views", licence="Apache License, Version 2.0")
    monkeypatch.setattr(installed, "own", lambda: tmp_path)
    return tmp_path


def found(**filters):
    return [(entry.name, entry.weights) for entry in zoo.list(**filters)]


def test_the_best_come_first_and_those_without_a_score_last(shelf):
    assert found()[:4] == [("unet3d_pe", "balls"), ("unet3d_cse", "balls"), ("unet3d", "balls"), ("sdnet2d", "balls")]
    assert {weights for _, weights in found()[4:]} == {"axial", "coronal", "sagittal", "all_views"}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"pattern": "unet3d*"}, ["unet3d_pe", "unet3d_cse", "unet3d"]),
        ({"pattern": "*_PE"}, ["unet3d_pe"]),
        ({"architecture": "sdnet"}, ["sdnet2d"]),
        ({"architecture": "U-Net", "task": "balls"}, ["unet3d_pe", "unet3d_cse", "unet3d"]),
        ({"block": "pe"}, ["unet3d_pe"]),
        ({"block": "plain", "task": "ball?"}, ["unet3d", "sdnet2d"]),
        ({"licence": "CC-BY-NC-3.0"}, ["unet3d_pe"]),
        ({"licence": "cc by nc 3.0"}, ["unet3d_pe"]),
        ({"licence": "cc-by"}, ["unet3d_cse", "unet3d"]),
        ({"licence": "mit"}, ["sdnet2d"]),
        ({"licence": "cc-by-nc-3.0", "block": "cse"}, []),
        ({"task": "all views"}, ["views"] * 4),
        ({"licence": "apache-2.0", "pattern": "v*"}, ["views"] * 4),
    ],
    ids=str,
)
def test_filters(filters, names, shelf):
    assert [name for name, _ in found(**filters)] == names


def test_what_an_entry_tells(shelf):
    entry = zoo.list("unet3d_pe")[0]
    assert (entry.name, entry.weights, entry.task, entry.is_default) == ("unet3d_pe", "balls", "balls", True)
    assert (entry.dice, entry.parameters, entry.megabytes) == (0.8, 10, 2.5)
    assert (entry.licence, entry.architecture, entry.block, entry.title) == (
        "cc by-nc 3.0: of mine",
        "UNet",
        "pe",
        "balls",
    )
    together = next(one for one in zoo.list("views") if one.weights == "all_views")
    assert together.is_default and together.dice is None and together.task == "all_views"
    members = [one for one in zoo.list("views") if one.weights != "all_views"]
    assert {one.task for one in members} == {"all_views"} and not any(one.is_default for one in members)
    assert together.parameters == sum(one.parameters for one in members)
    assert together.megabytes == pytest.approx(sum(one.megabytes for one in members))


def test_better_than_plain_is_the_paired_test(shelf):
    """PE is better by 0.02 to 0.08 in each of 12 scans: p = 2 / 2**12, doubled by Holm's correction of two tests."""
    (entry,) = zoo.list(better_than="plain")
    assert entry.name == "unet3d_pe" and entry.evidence.first == "unet3d"
    assert entry.evidence.p == pytest.approx(2 / 2**12) and entry.evidence.p_holm == pytest.approx(4 / 2**12)
    assert found(better_than="plain", alpha=0.0009) == []
    # What is filtered away is still part of the correction.
    assert zoo.list("*_pe", better_than="plain")[0].evidence.p_holm == entry.evidence.p_holm


def test_better_than_a_preset(shelf):
    assert ("unet3d_pe", "balls") in found(better_than="unet3d_cse")
    assert found(better_than="unet3d_pe") == [] == found(better_than="sdnet2d")


def test_the_tests_are_those_of_the_scoreboard(shelf):
    reports = {name: Report.read(shelf / name / "balls.csv") for name in ("unet3d", "unet3d_cse", "unet3d_pe")}
    assert evidence.against_plain(reports)["unet3d_pe"].p_holm == pytest.approx(4 / 2**12)
    assert list(evidence.against_plain(reports)) == ["unet3d_cse", "unet3d_pe"]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"architecture": "ResNet"}, "expected `architecture` to be one of UNet, SDNet, DenseNet, got 'ResNet'"),
        ({"block": "scs"}, "expected `block` to be one of .*plain, got 'scs'; did you mean 'scse'?"),
        (
            {"better_than": "unet3"},
            "expected `better_than` to be 'plain' or a preset, got 'unet3'; did you mean 'unet3d'",
        ),
        ({"better_than": "plain", "alpha": 5}, "expected `alpha` between 0 and 1, got 5"),
    ],
    ids=str,
)
def test_filters_that_cannot_be(filters, message, shelf):
    with pytest.raises(ValueError, match=message):
        zoo.list(**filters)


def test_an_empty_table_says_why(shelf):
    assert not zoo.list("unet4d") and repr(zoo.list("unet4d")) == "no preset matches 'unet4d'; did you mean 'unet3d'?"
    assert repr(zoo.list(task="liver")) == "no preset matches these filters: task 'liver' (there are balls, all_views)"
    assert "mit" in repr(zoo.list(licence="gpl-3.0")) and "<p>no preset" in zoo.list("x")._repr_html_()


def test_it_prints_as_a_table(shelf):
    lines = repr(zoo.list("unet3d*")).splitlines()
    assert lines[0].split() == ["preset", "weights", "task", "Dice", "parameters", "MB", "licence"]
    assert lines[1].split() == ["unet3d_pe", "balls", "*", "balls", "0.8000", "10", "2.5", "cc", "by-nc", "3.0"]
    assert lines[-2].startswith("* the default, which a preset's name alone stands for") and max(map(len, lines)) < 120
    tested = repr(zoo.list(better_than="plain")).splitlines()
    assert tested[0].split()[-2:] == ["difference", "p"] and tested[1].split()[-1] == "0.000977"
    page = zoo.list("unet3d*")._repr_html_()
    assert page.count("<tr>") == 4 and "<td>unet3d_pe</td>" in page and "the default" in page
    assert "<td>balls\N{NO-BREAK SPACE}*</td>" in page and "MB is empty" not in page


def test_it_says_why_a_size_is_missing(shelf):
    (shelf / "unet3d" / "balls.safetensors").unlink()
    assert repr(zoo.list("unet3d")).splitlines()[-1].startswith("MB is empty where the weights are not installed")
    assert "MB is empty" in zoo.list("unet3d")._repr_html_()


def test_a_preset_prints_like_the_list(shelf):
    """Short licences, the default marked, the Dice of an ensemble from its report."""
    rows = [Row("scan", "left", 4, Measures(dice=0.7)), Row("scan", "right", 9, Measures(dice=0.8))]
    Report(tuple(rows)).write(shelf / "views" / "all_views.csv")
    lines = [line.split() for line in repr(zoo.info("views")).splitlines()]
    assert [line[1:3] for line in lines[1:4]] != [["axial", "*"]] * 3 and lines[4][1:4] == ["all_views", "*", "0.750"]
    assert next(one for one in zoo.list("views") if one.is_default).dice == pytest.approx(0.75)
    assert repr(zoo.info("unet3d_pe")).splitlines()[1].split() == [
        *("unet3d_pe", "balls", "*", "0.800", "10", "cc", "by-nc", "3.0", "balls")
    ]
    assert "all_views\N{NO-BREAK SPACE}*</td>" in zoo.info("views")._repr_html_()


def test_it_is_a_sequence(shelf):
    table = zoo.list()
    assert [entry.name for entry in table] == [table[i].name for i in range(len(table))]
    assert len(table[:2]) == 2 and repr(table[:2]).count("unet3d") == 2 and type(table[:2]) is type(table)


def test_an_ensemble_passes_if_all_members_do(tmp_path):
    folder = write_views(tmp_path / "views", licence="MIT")
    mixed = Preset.read(folder)
    mixed.weight_sets["axial"].data["licence"] = "CC BY 4.0"
    table = Shelf([mixed]).select(licence="mit")
    assert {entry.weights for entry in table} == {"coronal", "sagittal"}


@pytest.mark.parametrize(
    ("licence", "short"),
    [
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("Apache 2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("CC BY-NC 3.0 (Neuromorphometrics, 2012)", "cc-by-nc-3.0"),
        ("Creative Commons Attribution-NonCommercial 3.0 Unported", "cc-by-nc-3.0"),
        ("CC0", "cc0"),
        ("CC0 1.0", "cc0-1.0"),
        ("MIT License", "mit"),
        ("not stated", "not-stated"),
    ],
)
def test_short_names_of_licences(licence, short):
    assert licences.short_name(licence) == short and licences.matches(licence, short.upper())
    assert licences.matches(licence, short.replace("-", " "))


def test_a_licence_with_more_conditions_is_another_one():
    assert not licences.matches("CC BY-NC 3.0", "cc-by-3.0") and not licences.matches("CC BY-NC-SA 4.0", "cc-by-nc")
    assert licences.matches("CC BY-NC 3.0", "cc-by-*") and not licences.matches("CC BY-NC 3.0", "cc-by-nc-4.0")


def test_the_default_of_every_shipped_preset_follows_one_rule():
    for name in zoo.names():
        tasks = {entry.task: entry.is_default for entry in zoo.list(name) if entry.weights == entry.task}
        assert [task for task, is_default in tasks.items() if is_default] == [
            "whole_brain" if "whole_brain" in tasks else "hippocampus"
        ]
