import shutil
import subprocess
import sys

import pytest

from recalib_keras import zoo


def test_presets_lists_every_weight_set(recalib, capsys):
    assert recalib("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    presets = [zoo.info(name) for name in zoo.names()]
    assert len(lines) == 1 + sum(len(preset.weight_sets) + len(preset.ensembles) for preset in presets)
    assert all(any(line.startswith(name + " ") for line in lines) for name in zoo.names())


def test_presets_lists_ensembles(recalib, capsys, monkeypatch):
    (name, *_), described = zoo.names(), zoo.weight_set(zoo.names()[0])
    sets = dict.fromkeys(("axial", "coronal"), described)
    preset = zoo.Preset(name, sets, {"both": {"axial": 0.4, "coronal": 0.6}})
    monkeypatch.setattr(zoo, "names", lambda: [name])
    monkeypatch.setattr(zoo, "info", lambda _: preset)
    assert recalib("presets") == 0
    words = capsys.readouterr().out.splitlines()[-1].split()
    assert words == [
        name,
        "both",
        f"{2 * described.parameters:,}",
        *described.licence.split(),
        *["average", "of", "0.4", "axial,", "0.6", "coronal"],
    ]


def test_presets_lists_the_licence_of_every_weight_set(recalib, capsys):
    assert recalib("presets") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    start, stop = first.index("licence"), first.index("segments")
    preset = zoo.info("densenet3d_pe")
    listed = {line.split()[1]: line[start:stop].strip() for line in lines if line.startswith("densenet3d_pe ")}
    assert listed == {name: described.licence for name, described in preset.weight_sets.items()}
    assert set(listed.values()) == {"Apache 2.0", "CC BY-SA 4.0"}


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
