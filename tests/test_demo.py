"""The README's first command."""

import re

import pytest

from examples import demo


def test_it_tells_both_parts_of_the_hippocampus_and_leaves_what_it_names(tmp_path, monkeypatch, capsys):
    pytest.importorskip("nilearn")
    monkeypatch.chdir(tmp_path)
    assert not demo.main()
    said = capsys.readouterr().out
    volumes = {part: float(volume) for part, volume in re.findall(r"^(\S.+?) +([\d.]+) cm³", said, re.MULTILINE)}
    assert list(volumes) == ["anterior hippocampus", "posterior hippocampus", "together"]
    assert all(1 < volume < 4 for part, volume in volumes.items() if part != "together")
    assert volumes["together"] == pytest.approx(sum(list(volumes.values())[:2]), abs=0.011)
    for kind in ("labels", "volumes", "picture"):
        assert (tmp_path / re.search(rf"^{kind} +(\S+)$", said, re.MULTILINE)[1]).stat().st_size > 0
