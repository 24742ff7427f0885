import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recalib_keras import zoo

REPOSITORY = Path(__file__).resolve().parents[2]


def test_presets_lists_every_weight_set_and_ensemble(recalib, capsys):
    assert recalib("presets") == 0
    table, rule = capsys.readouterr().out.split("\n\n")
    presets = [zoo.info(name) for name in zoo.names()]
    rows = [line.split()[:2] for line in table.splitlines()[1:]]
    assert sorted(map(tuple, rows)) == sorted(
        (preset.name, weights) for preset in presets for weights in (*preset.weight_sets, *preset.ensembles)
    )
    assert rule.startswith("* the default") and "the whole brain" in rule


def test_presets_takes_a_pattern_and_filters(recalib, capsys):
    assert recalib("presets", "*_pe", "--task", "whole_brain", "--licence", "Apache-2.0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["densenet3d_pe", "unet3d_pe"] and lines[3] == ""
    assert recalib("presets", "--architecture", "sdnet", "--block", "plain") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:3]] == ["sdnet3d", "sdnet2d"]


def test_presets_as_json(recalib, capsys):
    assert recalib("presets", "densenet2d_scse", "--task", "whole_brain", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["weights"] for one in found if one["is_default"]] == ["whole_brain"] and len(found) == 4
    assert {one["licence"] for one in found} == {"Apache 2.0"} and found[0]["dice"] == pytest.approx(0.8565, abs=1e-4)
    assert recalib("presets", "nothing", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_presets_by_evidence(recalib, capsys):
    assert recalib("presets", "--better-than", "plain", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert all(one["evidence"]["mean"] > 0 and one["evidence"]["p_holm"] < 0.05 for one in found)
    page = (REPOSITORY / "zoo" / "README.md").read_text(encoding="utf-8")
    assert all(f"+ {one['evidence']['p_holm']:.3g} |" in page for one in found) and found
    assert recalib("presets", "--better-than", "plain", "--alpha", "1e-9") == 0
    assert capsys.readouterr().out.startswith("no preset matches these filters; better_than 'plain' with p < 1e-09")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--block", "scs"], "did you mean 'scse'?"),
        (["--better-than", "unet9"], "expected `better_than` to be 'plain' or a preset, got 'unet9'"),
        (["--better-than", "plain", "--alpha", "0"], "expected `alpha` between 0 and 1"),
    ],
)
def test_presets_refuses_what_cannot_be(recalib, capsys, arguments, message):
    assert recalib("presets", *arguments) == 2
    assert message in capsys.readouterr().err


def test_presets_without_a_match_says_so(recalib, capsys):
    assert recalib("presets", "unet4d") == 0
    assert capsys.readouterr().out == "no preset matches 'unet4d'; did you mean 'unet3d'?\n"


def test_info_shows_the_licence_of_every_weight_set_and_ensemble(recalib, capsys):
    assert recalib("info", "densenet2d_scse") == 0
    lines = capsys.readouterr().out.splitlines()
    preset = zoo.info("densenet2d_scse")
    expected = {f"{name}: licence {described.licence}" for name, described in preset.weight_sets.items()}
    assert expected | {"whole_brain: licence Apache 2.0"} <= set(lines)


def test_info_without_a_card_shows_the_description(recalib, capsys, bright_preset, tmp_path):
    shutil.copy(bright_preset / "preset.json", tmp_path)
    assert recalib("info", tmp_path) == 0
    assert capsys.readouterr().out.startswith("preset  weights")


def test_info_shows_card_and_colours(recalib, capsys, bright_preset):
    assert recalib("info", bright_preset) == 0
    output = capsys.readouterr().out
    assert output.startswith("# bright")
    assert "7  #ffc800  bright" in output


def test_info_suggests_the_nearest_name(recalib, capsys):
    assert recalib("info", "densnet3d_pe") == 2
    assert "did you mean 'densenet3d_pe'?" in capsys.readouterr().err


def test_descriptions_are_read_without_keras():
    script = "import sys; from recalib_keras.cli.main import main; main(['presets']); sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.parametrize("name", zoo.names())
def test_info_of_each_preset(recalib, capsys, name):
    assert recalib("info", name) == 0
    assert f"# {name}" in capsys.readouterr().out
