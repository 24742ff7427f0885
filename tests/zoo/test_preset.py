import dataclasses
import json

import pytest

from recalib_keras import zoo
from recalib_keras.zoo import Input, Label, Network, Preset, RecordError, ReferenceRange, WeightSet

WEIGHT_SET = WeightSet(
    title="balls",
    network=Network("UNet", {"levels": 1, "filters": [2, 4], "recalibration": None}),
    input=Input((8, 8, 16), "LIA", (1.0, 1.5, 2.0), "ct"),
    labels=(Label(0, "background"), Label(17, "Schäle", (1, 2, 3))),
    file="balls.safetensors",
    sha256="0" * 64,
    parameters=12,
    data={"source": "tests"},
    score={"dice": 0.5, "dice_by_structure": {"Schäle": 0.5}},
)
TYPICAL = ReferenceRange(0.125, (0.5, 2.0), 0.01, {"Schäle": 1.0})
MORE = dataclasses.replace(WEIGHT_SET, input=Input((1, 8, 8)), typical=TYPICAL)
PRESET = Preset("tiny", {"balls": WEIGHT_SET, "more": MORE})


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes `preset.json` after a change of its mapping, and returns the folder."""

    def write_changed(change=lambda mapping: None):
        mapping = json.loads(PRESET.to_json())
        change(mapping)
        (tmp_path / "preset.json").write_text(json.dumps(mapping), encoding="utf-8")
        return tmp_path

    return write_changed


def test_round_trip(tmp_path):
    (tmp_path / "preset.json").write_text(PRESET.to_json(), encoding="utf-8")
    preset = Preset.read(tmp_path)
    assert preset == PRESET and preset.folder == tmp_path
    assert list(preset.weight_sets) == ["balls", "more"]
    assert preset.to_json() == PRESET.to_json()


def test_the_file_is_readable_and_knows_no_folder():
    assert "Schäle" in PRESET.to_json() and PRESET.to_json().endswith("}\n")
    assert "folder" not in json.loads(PRESET.to_json())


def test_what_is_typical_may_be_unknown(write):
    mapping = json.loads(PRESET.to_json())["weight_sets"]
    assert "typical" not in mapping["balls"]
    assert mapping["more"]["typical"] == {
        "entropy": 0.125, "volume_ml": [0.5, 2.0], "at_edge": 0.01, "found": {"Schäle": 1.0}
    }  # fmt: skip
    read = Preset.read(write()).weight_sets
    assert (read["balls"].typical, read["more"].typical) == (None, TYPICAL)


VIEWS = dataclasses.replace(PRESET, ensembles={"both": {"balls": 0.4, "more": 0.6}})


@pytest.mark.parametrize(
    ("preset", "weights", "shares"),
    [
        (PRESET, "default", {"balls": 1.0}),
        (PRESET, "more", {"more": 1.0}),
        (PRESET, ["more", "balls"], {"more": 1.0, "balls": 1.0}),
        (PRESET, {"more": 3}, {"more": 3}),
        (VIEWS, "default", {"balls": 0.4, "more": 0.6}),
        (VIEWS, "both", {"balls": 0.4, "more": 0.6}),
        (VIEWS, "more", {"more": 1.0}),
    ],
)
def test_what_names_stand_for(preset, weights, shares):
    assert preset.shares(weights) == shares


def test_an_ensemble_is_kept_and_is_no_single_network(tmp_path):
    (tmp_path / "preset.json").write_text(VIEWS.to_json(), encoding="utf-8")
    assert Preset.read(tmp_path) == VIEWS and "ensembles" not in json.loads(PRESET.to_json())
    with pytest.raises(ValueError, match="weights 'both' of preset 'tiny' are those of several networks: balls, more"):
        zoo.load(tmp_path, "both")


@pytest.mark.parametrize(
    ("ensembles", "message"),
    [
        ({"balls": {"more": 1}}, "under another name; 'balls' averages more"),
        ({"both": {"balls": 1, "less": 1}}, "an ensemble must average weight sets, balls, more"),
        ({"both": {"balls": 1, "more": 0}}, "the shares of the ensemble 'both' must be above 0"),
        ({"both": {}}, "must be above 0"),
    ],
)
def test_a_wrong_ensemble_is_an_error(write, ensembles, message):
    with pytest.raises(RecordError, match=message):
        Preset.read(write(lambda mapping: mapping.update(ensembles=ensembles)))


@pytest.mark.parametrize("text", ["", "{", '{"name": "tiny",}', "not json"])
def test_a_file_that_is_not_json(text, tmp_path):
    (tmp_path / "preset.json").write_text(text)
    with pytest.raises(RecordError, match="preset.json is not valid JSON: "):
        Preset.read(tmp_path)


def test_a_file_without_a_weight_set(write):
    with pytest.raises(RecordError, match="preset.json describes no weight set"):
        Preset.read(write(lambda mapping: mapping["weight_sets"].clear()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "../balls.safetensors"}, "file must name a .safetensors file beside preset.json, not '../balls.safe"),
        ({"file": "/etc/passwd"}, "file must name a .safetensors file beside preset.json, not '/etc/passwd'"),
        ({"file": "sub/balls.safetensors"}, "file must name a .safetensors file beside preset.json, not"),
        ({"file": ""}, "file must name a .safetensors file beside preset.json, not"),
        ({"file": "balls.pickle"}, "file must name a .safetensors file beside preset.json, not 'balls.pickle'"),
        ({"file": ".."}, "file must name a .safetensors file beside preset.json, not"),
        ({"input": {"window": [8, 8]}}, "input: window must have 3 values"),
        ({"input": {"window": [8, 8, 0]}}, "input: window must be three sizes, one of them 1 for a 2-D network"),
        ({"input": {"window": [8, -8, 8]}}, "input: window must be three sizes"),
        ({"input": {"window": [1, 1, 8]}}, "input: window must be three sizes"),
        (
            {"input": {"window": [8, 8, 8], "orientation": "ras"}},
            "input: orientation must be three letters, one each of",
        ),
        ({"input": {"window": [8, 8, 8], "orientation": "RAP"}}, "such as 'RAS', not 'RAP'"),
        (
            {"input": {"window": [8, 8, 8], "context": 1}},
            "input: context must be a number of slices from 0 on, and 0 for",
        ),
        ({"input": {"window": [8, 1, 8], "context": -1}}, "input: context must be a number of slices from 0 on, and 0"),
        ({"network": {"architecture": "VNet"}}, "architecture must be one of UNet, SDNet, DenseNet, not 'VNet'"),
        ({"labels": [{"id": 1.5, "name": "x"}]}, "labels[0]: id must be an integer, not 1.5"),
        ({"labels": [{"id": 1, "name": "x", "color": [1, 2]}]}, "labels[0]: color must have 3 values"),
        ({"labels": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]}, "labels must differ in name; 'x' is there"),
        ({"typical": {"entropy": 0.1}}, "typical lacks 'volume_ml', 'at_edge', 'found'"),
        ({"typical": {**dataclasses.asdict(TYPICAL), "volume_ml": [1]}}, "typical: volume_ml must have 2 values"),
        ({"parameter": 3}, "unknown key 'parameter'; did you mean 'parameters'?"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes, message, write):
    folder = write(lambda mapping: mapping["weight_sets"]["balls"].update(changes))
    with pytest.raises(RecordError) as caught:
        Preset.read(folder)
    assert str(caught.value).startswith(f"{folder / 'preset.json'}: weight_sets.balls") and message in str(caught.value)


@pytest.mark.parametrize(
    ("window", "slice_axis", "shape"),
    [((8, 9, 10), None, (8, 9, 10, 1)), ((1, 9, 10), 0, (9, 10, 1)), ((8, 9, 1), 2, (8, 9, 1))],
)
def test_a_window_says_what_the_network_sees(window, slice_axis, shape):
    assert (Input(window).slice_axis, Input(window).shape) == (slice_axis, shape)


def test_which_windows_show_left_and_right():
    assert [Input((8, 8, 8), letters).lateral_axis for letters in ("RAS", "PIL", "SRA")] == [0, 2, 1]
    assert not Input((1, 8, 8)).shows_sides and not Input((8, 1, 8), "PLS").shows_sides
    assert Input((8, 1, 8)).shows_sides and Input((8, 8, 8)).shows_sides and Input((1, 8, 8), context=1).shows_sides


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 2}, "network.arguments has an unknown key 'level'; did you mean 'levels'?"),
        (
            {"input_shape": [8, 8, 1]},
            "network.arguments has an unknown key 'input_shape'; known keys: levels, filters, ",
        ),
        ({"dtype": "float32"}, "network.arguments has an unknown key 'dtype'; known keys: levels, "),
        (
            {"recalibration": "cse", "recalibration_args": {"reduction": 2}},
            "network.arguments.recalibration_args has an unknown key 'reduction'; did you mean 'reduction_ratio'?",
        ),
        ({"filters": 4.5}, "the network's arguments do not fit UNet: "),
    ],
)
def test_arguments_that_do_not_fit_the_network(arguments, message):
    with pytest.raises(RecordError) as caught:
        Network("UNet", arguments).build((8, 8, 1), 3)
    assert str(caught.value).startswith(message)


def test_arguments_of_a_block_and_of_its_bases_are_known():
    taken = {"reduction_ratio": 4, "use_bias": False, "use_identity_start": True, "data_format": "channels_last"}
    Network("DenseNet", {"recalibration": "pe", "recalibration_args": taken}).check()


def test_builds_the_network_it_describes():
    model = WEIGHT_SET.build(dtype="mixed_bfloat16")
    assert type(model).__name__ == "UNet"
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 16, 1), (None, 8, 8, 16, 2))
    assert model.get_layer("classifier").dtype_policy.name == "mixed_bfloat16"
    assert WEIGHT_SET.build(num_classes=5, input_shape=(None, None, None, 2)).output_shape[-1] == 5


@pytest.mark.parametrize("num_classes", [0, 1])
def test_too_few_classes_are_refused(num_classes):
    with pytest.raises(ValueError, match=f"must be at least 2. Received: num_classes={num_classes}"):
        WEIGHT_SET.build(num_classes=num_classes)


def test_a_2d_network_with_context_has_a_channel_for_each_slice():
    expects = Input((8, 1, 16), context=3)
    assert (expects.slice_axis, expects.depth, expects.margin, expects.shape) == (1, 7, (0, 3, 0), (8, 16, 7))
    alone, solid = Input((8, 1, 16)), Input((8, 4, 16))
    assert (alone.depth, alone.margin, alone.shape) == (1, (0, 0, 0), (8, 16, 1))
    assert (solid.depth, solid.margin, solid.shape) == (1, (0, 0, 0), (8, 4, 16, 1))
