from collections import Counter

import numpy as np
import pytest

from recalib_keras.datasets import stratified_folds


def has(labels, folds, label):
    """Returns how many patients with a label each fold has."""
    return sorted(Counter(folds[patient] for patient, found in labels.items() if label in found).values())


def test_every_fold_has_its_share_of_each_label():
    rng = np.random.default_rng(0)
    often = {1: 1.0, 2: 0.5, 3: 0.2, 4: 0.1}
    labels = {f"p{n}": {one for one, share in often.items() if rng.random() < share} for n in range(100)}
    folds = stratified_folds(labels, 5)
    assert folds.keys() == labels.keys() and has(labels, folds, 1) == [20] * 5
    for label in (2, 3, 4):
        counts = has(labels, folds, label)
        assert len(counts) == 5 and counts[-1] - counts[0] <= 2


def test_a_label_of_as_many_patients_as_folds_is_in_each():
    labels = {f"p{n}": {1, 7} if n % 10 == 0 else {1} for n in range(30)}
    assert has(labels, stratified_folds(labels, 3), 7) == [1, 1, 1]


def test_patients_without_labels_are_dealt_out_too():
    folds = stratified_folds({f"p{n}": () for n in range(7)}, 3)
    assert sorted(Counter(folds.values()).values()) == [2, 2, 3]


def test_the_same_patients_give_the_same_folds():
    labels = {f"p{n}": {n % 3, n % 5} for n in range(40)}
    assert stratified_folds(labels, 4) == stratified_folds({k: sorted(v) for k, v in labels.items()}, 4)


@pytest.mark.parametrize("count", [1, 4])
def test_impossible_numbers_of_folds(count):
    with pytest.raises(ValueError, match=f"expected from 2 folds to one for each of 3 patients, got {count}"):
        stratified_folds({"a": [1], "b": [1], "c": [1]}, count)
