"""The README's first command and the other examples."""

import re

import pytest

from examples import demo, hippocampus

PAIRS = 14
MIDDLE = ["3rd ventricle", "4th ventricle", "brain-stem", "cerebrospinal fluid"]


def assert_named_files_exist(said, folder):
    for kind in ("labels", "volumes", "picture", "page"):
        assert (folder / re.search(rf"^{kind}  +(\S+)", said, re.MULTILINE)[1]).stat().st_size > 0


def test_demo_prints_every_structure_and_writes_the_files_it_names(tmp_path, monkeypatch, capsys):
    pytest.importorskip("nilearn")
    monkeypatch.chdir(tmp_path)
    assert not demo.main()
    captured = capsys.readouterr()
    said = captured.out
    assert "warning" not in said + captured.err
    rows = re.findall(r"^(\S.*?) +([\d.]+) +([\d.]+) +(-?[\d.]+) % +\((-?[\d.]+) %\)$", said, re.MULTILINE)
    pairs = {name: (float(left), float(right)) for name, left, right, _, _ in rows}
    middle = {name: float(one) for name, one in re.findall(r"^(\S.*?) +([\d.]+)(?: +\(.*)?$", said, re.MULTILINE)}
    assert len(pairs) == PAIRS and all(0.8 < left / right < 1.25 for left, right in pairs.values())
    # The template is symmetric: what asymmetry is found is the network's own.
    assert all(abs(float(found) - float(own)) < 4 for _, _, _, found, own in rows)
    together = middle.pop("together")
    assert list(middle) == MIDDLE
    assert together == pytest.approx(sum(map(sum, pairs.values())) + sum(middle.values()), abs=0.2)
    # By the template's tissue maps and by other tools, the brain with its fluid has 1.9 litres.
    assert 1600 < together < 2000
    assert all(4 < side < 7.5 for side in pairs["hippocampus"]) and 20 < middle["brain-stem"] < 35
    assert_named_files_exist(said, tmp_path)


@pytest.mark.slow
def test_hippocampus_prints_both_parts_and_writes_the_files_it_names(tmp_path, monkeypatch, capsys):
    pytest.importorskip("nilearn")
    monkeypatch.chdir(tmp_path)
    assert not hippocampus.main()
    said = capsys.readouterr().out
    volumes = {part: float(volume) for part, volume in re.findall(r"^(\S.+?) +([\d.]+) cm³", said, re.MULTILINE)}
    assert list(volumes) == ["anterior hippocampus", "posterior hippocampus", "together"]
    assert all(1 < volume < 4 for part, volume in volumes.items() if part != "together")
    assert volumes["together"] == pytest.approx(sum(list(volumes.values())[:2]), abs=0.011)
    assert_named_files_exist(said, tmp_path)
