import platform

import pytest

from recalib_keras.core import processor


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse4_2 avx avx2 avx512f avx512_vnni avx512_bf16 vaes", True),
        ("fpu avx2 amx_tile amx_bf16", True),
        ("fp asimd sve i8mm bf16", True),  # ARM
        ("fpu sse4_2 avx avx2 fma", False),
        ("fpu no_avx512_bf16", False),
    ],
)
def test_whether_the_processor_computes_in_bfloat16(flags, expected, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbogomips\t: 4890\n", encoding="utf-8")
    monkeypatch.setattr(processor, "CPUINFO", path)
    assert processor.has_bfloat16() is expected


def test_name_and_description(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    cores = [f"processor\t: {i}\nmodel name\t: A: Chip\nflags\t\t: fpu avx\nbogomips\t: 48{i}\n" for i in (0, 1)]
    path.write_text("\n".join(cores), encoding="utf-8")
    monkeypatch.setattr(processor, "CPUINFO", path)
    assert processor.processor_name() == "A: Chip"
    assert processor.processor_description() == ["flags\t\t: fpu avx", "model name\t: A: Chip"]


def test_a_system_that_does_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert processor.has_bfloat16() is False
    assert processor.processor_name() == "riscv64" and processor.processor_description() == [""]
