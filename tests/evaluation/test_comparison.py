import csv
import math

import numpy as np
import pytest
from scipy import stats

from recalib_keras.evaluation import Measures, Report, Row, compare, in_all, write_comparison
from recalib_keras.evaluation.paired_statistics import holm


def of(values, scans=None, structures=("liver",)):
    """A report of Dice values, `(scans, structures)`."""
    values = np.atleast_2d(np.asarray(values, float).T).T
    names = scans or [f"scan_{index}" for index in range(len(values))]
    return Report(
        tuple(
            Row(name, structure, label, Measures(float(value), hd95_mm=float(10 * (1 - value))))
            for name, row in zip(names, values)
            for label, (structure, value) in enumerate(zip(structures, row), start=1)
        )
    )


def test_a_difference_is_the_second_less_the_first():
    first, second = np.linspace(0.5, 0.6, 8), np.linspace(0.58, 0.6, 8)
    found, _ = compare({"a": of(first), "b": of(second)})
    assert (found.first, found.second, found.structure, found.measure, found.pairs) == ("a", "b", "liver", "dice", 8)
    assert found.first_mean == pytest.approx(first.mean()) and found.second_mean == pytest.approx(second.mean())
    assert found.mean == pytest.approx((second - first).mean())
    assert found.median == pytest.approx(np.median(second - first))
    assert found.mean_low < found.mean < found.mean_high
    assert found.rank_biserial == 1  # the last difference is zero and dropped
    assert found.p == pytest.approx(stats.wilcoxon(second[:-1] - first[:-1]).pvalue)


def test_swapped_reports_change_signs_but_not_p(report):
    reports = {"a": report(seed=1), "b": report(seed=2)}
    forth, back = compare(reports), compare(dict(reversed(reports.items())))
    for one, other in zip(forth, back):
        assert (one.mean, one.median, one.rank_biserial) == pytest.approx(
            (-other.mean, -other.median, -other.rank_biserial)
        )
        assert one.p == other.p


def test_scans_and_structures_are_paired_by_name():
    values = np.random.default_rng(0).uniform(0.5, 0.9, (9, 2))
    names = [f"scan_{index}" for index in range(9)]
    shuffled = np.random.default_rng(1).permutation(9)
    mixed = of(values[shuffled][:, ::-1], [names[index] for index in shuffled], ("spleen", "liver"))
    for difference in compare({"a": of(values, names, ("liver", "spleen")), "b": mixed}):
        assert difference.mean == difference.median == 0
        assert (difference.p, difference.remark) == (1, "all differences are zero")


def test_all_pairs_of_reports(report):
    found = compare({name: report(seed=seed) for seed, name in enumerate("abc")})
    assert [(one.structure, one.first, one.second) for one in found] == [
        (structure, *pair)
        for structure in ("anterior", "posterior", "mean of structures")
        for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    ]


def test_p_values_are_corrected_in_two_families(report):
    found = compare({name: report(scans=12, gain=0.02 * seed, seed=seed) for seed, name in enumerate("abc")})
    structures, means = found[:6], found[6:]
    assert [one.p_holm for one in structures] == holm([one.p for one in structures])
    assert [one.p_holm for one in means] == holm([one.p for one in means])
    assert any(one.p_holm > one.p for one in structures)


def test_the_mean_is_over_the_structures_of_each_scan():
    first, second = np.random.default_rng(0).uniform(0.5, 0.9, (2, 7, 2))
    *_, mean = compare({"a": of(first, structures=("x", "y")), "b": of(second, structures=("x", "y"))})
    assert mean.structure == "mean of structures"
    assert mean.mean == pytest.approx((second - first).mean())
    assert mean.p == pytest.approx(stats.wilcoxon((second - first).mean(axis=1)).pvalue)


def test_scans_in_one_report_only_are_excluded():
    first, second = of(np.linspace(0.1, 0.8, 8)), of(np.linspace(0.2, 0.9, 8)[1:], [f"scan_{i}" for i in range(1, 8)])
    assert in_all({"a": first, "b": second}) == ([f"scan_{index}" for index in range(1, 8)], ["liver"])
    assert [one.pairs for one in compare({"a": first, "b": second})] == [7, 7]


def test_values_in_one_report_only_are_excluded(report):
    whole, holed = report(seed=1), report(seed=2, missed=[(3, 0)])
    anterior, posterior, mean = compare({"a": whole, "b": holed}, "hd95_mm")
    assert (anterior.pairs, posterior.pairs, mean.pairs) == (7, 8, 8)
    assert anterior.remark == mean.remark == "1 value in one report only, left out"
    assert posterior.remark == ""
    # In the scan in question the mean of both is that of the posterior structure alone.
    values = {name: one.values("hd95_mm") for name, one in (("a", whole), ("b", holed))}
    expected = (values["b"] - values["a"]).mean(axis=1)
    expected[3] = (values["b"] - values["a"])[3, 1]
    assert mean.mean == pytest.approx(expected.mean())


def test_few_pairs_are_described_but_not_tested(report):
    for difference in compare({"a": report(scans=5, seed=1), "b": report(scans=5, seed=2)}):
        assert math.isnan(difference.p) and math.isnan(difference.p_holm) and math.isnan(difference.statistic)
        assert difference.remark == "no test: 5 pairs, fewer than 6"
        assert difference.mean_low < difference.mean < difference.mean_high
        assert -1 <= difference.rank_biserial <= 1


def test_a_structure_without_pairs():
    nothing = Report(tuple(Row(f"scan_{i}", "liver", 1, Measures(0.0, truth_mm3=1.0)) for i in range(6)))
    liver, mean = compare({"a": of(np.linspace(0.1, 0.6, 6)), "b": nothing}, "hd95_mm")
    for difference in (liver, mean):
        assert difference.pairs == 0 and math.isnan(difference.mean) and math.isnan(difference.median)
        assert difference.remark == "no test: 0 pairs, fewer than 6; 6 values in one report only, left out"


@pytest.mark.parametrize(
    ("reports", "measure", "message"),
    [
        ({"a": of([0.5])}, "dice", "two reports or more to compare, got 1"),
        (
            {"a": of([0.5]), "b": of([0.5])},
            "dise",
            "expected `measure` to be one of dice, jaccard, hd95_mm.*, got 'dise'; did you mean 'dice'",
        ),
        (
            {"a": of([0.5]), "b": of([0.5], ["other"])},
            "dice",
            "reports of the same scans, got none that all of them have: a has scan_0; b has other",
        ),
        (
            {"a": of(np.full((1, 5), 0.5), structures=tuple("vwxyz")), "b": of([0.5])},
            "dice",
            "the same structures, .*a has v, w, x and 2 more; b has liver",
        ),
    ],
)
def test_invalid_comparisons(reports, measure, message):
    with pytest.raises(ValueError, match=message):
        compare(reports, measure)


def test_the_table(tmp_path, report):
    found = compare({"a": report(scans=5, seed=1), "b": report(scans=5, seed=2)})
    rows = list(csv.DictReader(write_comparison(found, tmp_path / "c.csv").read_text().splitlines()))
    assert [row["structure"] for row in rows] == ["anterior", "posterior", "mean of structures"]
    assert float(rows[0]["mean"]) == pytest.approx(found[0].mean, abs=1e-6)
    assert rows[0]["p"] == rows[0]["p_holm"] == ""
    assert rows[0]["remark"] == "no test: 5 pairs, fewer than 6"
