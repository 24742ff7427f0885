import dataclasses
import json

import pytest
from synthesis.heads import LEFT, PRIOR, RIGHT, TABLE

from recalib_keras.core.records import to_mapping
from recalib_keras.synthesis import GenerationLabel, LabelTable
from recalib_keras.zoo import Label, RecordError


def changed(place, **values):
    """Returns the labels of the phantom's table, one of them changed."""
    labels = list(TABLE.labels)
    labels[place] = dataclasses.replace(labels[place], **values)
    return tuple(labels)


def test_a_table_comes_back_from_its_file_and_its_folder(tmp_path):
    path = tmp_path / "generation.json"
    path.write_text(json.dumps(to_mapping(TABLE)), encoding="utf-8")
    assert LabelTable.read(path) == LabelTable.read(tmp_path) == TABLE


def test_arrays_are_in_the_order_of_the_labels():
    assert TABLE.numbers.tolist() == [0, 2, 41, 16, 507, 515]
    assert TABLE.mirrors.tolist() == [0, 2, 1, 3, 4, 5]
    assert TABLE.is_segmented.tolist() == [False, True, True, True, False, False]
    assert TABLE.is_outside.tolist() == [False, False, False, False, True, True]


def test_structures_are_labels_of_the_zoo():
    assert TABLE.structures == (
        Label(0, "background", (0, 0, 0)),
        Label(2, "left cerebral white matter", (245, 245, 245), mirror=41),
        Label(16, "brain-stem", (119, 159, 176)),
        Label(41, "right cerebral white matter", (245, 245, 245), mirror=2),
    )


def test_a_label_may_name_its_mirror_and_one_alone_has_none():
    paired = LabelTable(
        (
            TABLE.labels[0],
            GenerationLabel(901, 901, "left ear", 1, 1, mirror=902),
            GenerationLabel(902, 902, "right ear", 2, 1, mirror=901),
            GenerationLabel(2, 2, "left cerebral white matter", 3, 1),
        ),
        PRIOR,
    )
    assert paired.mirrors.tolist() == [0, 2, 1, 3]
    assert [(label.id, label.mirror) for label in paired.structures] == [(0, None), (2, None), (901, 902), (902, 901)]


def test_classes_are_places_among_the_structures():
    assert TABLE.classes().tolist() == [0, 1, 3, 2, 0, 0] and TABLE.classes().dtype == "uint8"
    wanted = [Label(0, "background"), Label(16, "stem"), Label(2, "white matter")]
    assert TABLE.classes(wanted, {"41": 2}).tolist() == [0, 2, 2, 1, 0, 0]
    assert TABLE.classes(wanted[:2], {"41": 0, "2": 0}).tolist() == [0, 0, 0, 1, 0, 0]


def test_a_label_that_is_wanted_as_a_structure_is_segmented_as_itself():
    wanted = [*TABLE.structures, Label(515, "bone")]
    assert TABLE.classes(wanted).tolist() == [0, 1, 3, 2, 0, 4]


def test_a_structure_that_is_no_class_is_an_error():
    with pytest.raises(RecordError, match=r"got a recipe without \[41\]; add them to its labels, or merge them"):
        TABLE.classes([Label(0, "background"), Label(2, "left"), Label(16, "stem")])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (changed(LEFT, label=41), "expected labels with different numbers from 0, the background, up, got "),
        (TABLE.labels[1:], "expected labels with different numbers from 0, the background, up, got "),
        (changed(LEFT, label=-2), "expected labels with different numbers from 0, the background, up, got "),
        (changed(LEFT, class_t1=5), "expected the T1 class of label 2 from 0 to 4, as in the prior, got 5"),
        (
            changed(LEFT, class_random_contrast=-1),
            "class of label 2 for random contrasts to be at least 0, got -1",
        ),
        (
            changed(RIGHT, target=2),
            "expected one name for structure 2, got 'left cerebral .*' and 'right cerebral .*'",
        ),
        (changed(LEFT, mirror=3), "expected the mirror of label 2 to be a label of the table, got 3"),
    ],
)
def test_tables_that_contradict_themselves_are_errors(labels, message):
    with pytest.raises(RecordError, match=message):
        LabelTable(labels, PRIOR)


def test_lists_of_the_prior_are_equally_long():
    with pytest.raises(RecordError, match=r"equally long, got lengths \[5, 4, 5, 5\]"):
        dataclasses.replace(PRIOR, mean_sigma=(1.0,) * 4)


def test_unreadable_tables_are_errors(tmp_path):
    with pytest.raises(
        RecordError,
        match=r"generation\.json: expected a table of labels that can be read, got no such file",
    ):
        LabelTable.read(tmp_path)
    path = tmp_path / "table.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="in valid JSON, got"):
        LabelTable.read(path)
    path.write_text('{"labels": []}', encoding="utf-8")
    with pytest.raises(RecordError, match="expected the key 't1_prior', got a table without it"):
        LabelTable.read(path)


def test_the_table_of_real_heads(brain_table):
    structures = brain_table.structures
    assert len(structures) == 32 and structures[0].name == "background"
    by_id = {label.id: label for label in structures}
    assert by_id[17].name == "left hippocampus" and by_id[17].mirror == 53 and by_id[53].mirror == 17
    for label in structures:  # what is on the left is mirrored on the right, under the same name
        if label.name.startswith("left"):
            assert by_id[label.mirror].name == label.name.replace("left", "right")
            assert by_id[label.mirror].mirror == label.id
    assert [label.id for label in structures if label.mirror is None] == [0, 14, 15, 16]
    assert len({label.color for label in structures}) > 15
    mirrors = brain_table.mirrors
    assert (mirrors[mirrors] == range(len(mirrors))).all()
    numbers = brain_table.numbers
    assert dict(zip(numbers, numbers[mirrors]))[136] == 163 and brain_table.is_outside.sum() == 11
