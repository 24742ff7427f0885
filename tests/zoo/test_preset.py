import dataclasses
import json

import pytest

from recalib_keras import zoo
from recalib_keras.volumes import METHODS
from recalib_keras.zoo import Input, Label, Network, Preset, RecordError, ReferenceRange, WeightsError, WeightSet
from recalib_keras.zoo.network import NORMALIZATIONS

NAN = float("nan")

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
TYPICAL = ReferenceRange(0.125, (0.5, 2.0), 0.01, {"Schäle": 1.0}, {"Schäle": (0.5, 2.0)}, 3)
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
        "entropy": 0.125, "volume_ml": [0.5, 2.0], "at_edge": 0.01, "found": {"Schäle": 1.0},
        "structures_ml": {"Schäle": [0.5, 2.0]}, "scans": 3,
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
    with pytest.raises(
        ValueError,
        match="expected weights of one network of the preset 'tiny', got the ensemble 'both'; "
        "choose one of its members: balls, more",
    ):
        zoo.weight_set(tmp_path, "both")
    with pytest.raises(ValueError, match="expected members with the same orientation, got 'LIA' and 'RAS'"):
        zoo.load(tmp_path, "both")


@pytest.mark.parametrize(
    ("ensembles", "message"),
    [
        ({"balls": {"more": 1}}, "under another name, got 'balls' of more"),
        (
            {"both": {"balls": 1, "less": 1}},
            "expected an ensemble of the weight sets balls, more under another name, got 'both' of balls, less",
        ),
        ({"both": {"balls": 1, "more": 0}}, "expected shares above 0 in the ensemble 'both'"),
        ({"both": {}}, "expected shares above 0"),
    ],
)
def test_a_wrong_ensemble_is_an_error(write, ensembles, message):
    with pytest.raises(RecordError, match=message):
        Preset.read(write(lambda mapping: mapping.update(ensembles=ensembles)))


@pytest.mark.parametrize("text", ["", "{", '{"name": "tiny",}', "not json"])
def test_a_file_that_is_not_json(text, tmp_path):
    (tmp_path / "preset.json").write_text(text)
    with pytest.raises(RecordError, match=r"preset.json: expected a preset in valid JSON, got "):
        Preset.read(tmp_path)


def test_a_file_without_a_weight_set(write):
    with pytest.raises(RecordError, match=r"preset.json: expected a weight set or more, got none"):
        Preset.read(write(lambda mapping: mapping["weight_sets"].clear()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"file": "../balls.safetensors"},
            "expected file to name a .safetensors file beside preset.json, got '../balls.safe",
        ),
        ({"file": "/etc/passwd"}, "expected file to name a .safetensors file beside preset.json, got '/etc/passwd'"),
        ({"file": "sub/balls.safetensors"}, "expected file to name a .safetensors file beside preset.json, got"),
        ({"file": ""}, "expected file to name a .safetensors file beside preset.json, got"),
        ({"file": "balls.pickle"}, "expected file to name a .safetensors file beside preset.json, got 'balls.pickle'"),
        ({"file": ".."}, "expected file to name a .safetensors file beside preset.json, got"),
        ({"input": {"window": [8, 8]}}, "input: window: expected 3 values"),
        (
            {"input": {"window": [8, 8, 0]}},
            "input: expected `window` from 1 to 4,096, got 0",
        ),
        ({"input": {"window": [8, -8, 8]}}, "input: expected `window` from 1 to 4,096, got -8"),
        ({"input": {"window": [1, 1, 8]}}, "input: expected window of three sizes"),
        (
            {"input": {"window": [8, 8, 8], "orientation": "ras"}},
            "input: expected orientation of three letters, one each of",
        ),
        ({"input": {"window": [8, 8, 8], "orientation": "RAP"}}, "such as 'RAS', got 'RAP'"),
        (
            {"input": {"window": [8, 8, 8], "context": 1}},
            "input: expected `context` to be 0 for",
        ),
        ({"input": {"window": [8, 1, 8], "context": -1}}, "input: expected `context` from 0 to 32"),
        ({"network": {"architecture": "VNet"}}, "expected architecture to be one of UNet, SDNet, DenseNet, got 'VNet'"),
        ({"labels": [{"id": 1.5, "name": "x"}]}, "labels[0]: id: expected an integer, got 1.5"),
        ({"labels": [{"id": 1, "name": "x", "color": [1, 2]}]}, "labels[0]: color: expected 3 values"),
        (
            {"labels": [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]},
            "expected labels that differ in name, got 'x' more than once",
        ),
        (
            {"typical": {"entropy": 0.1}},
            "typical: expected the keys 'volume_ml', 'at_edge', 'found', got a table without them",
        ),
        ({"typical": {**dataclasses.asdict(TYPICAL), "volume_ml": [1]}}, "typical: volume_ml: expected 2 values"),
        ({"parameter": 3}, "unknown key 'parameter'; did you mean 'parameters'?"),
        ({"folder": None}, "unknown key 'folder'"),
        ({"folder": "/"}, "unknown key 'folder'"),
        ({"file": "a\x00.safetensors"}, "expected file without its ending to be at most 64 letters"),
        ({"file": "a b.safetensors"}, "expected file without its ending to be at most 64 letters"),
        ({"sha256": "x" * 64}, "expected sha256 of 64 hexadecimal digits, got 'xxx"),
        ({"parameters": -1}, "expected parameters from 0 to 100,000,000,000, got -1"),
        ({"parameters": 10**4000}, "expected parameters from 0 to 100,000,000,000, got an integer of 13288 bits"),
        ({"parameters": True}, "parameters: expected an integer, got True"),
        ({"title": "a\nb"}, "expected title to be one line of at most 200 printable characters"),
        ({"title": "<script>"}, "expected title to be one line of at most 200 printable characters"),
        ({"title": "x" * 201}, "expected title to be one line of at most 200 printable characters"),
        ({"labels": []}, "expected labels, the background first, got none"),
        ({"labels": None}, "labels: expected a list"),
        ({"labels": [{"id": -1, "name": "x"}]}, "labels[0]: expected `id` from 0 to 2,147,483,647, got -1"),
        ({"labels": [{"id": 2**31, "name": "x"}]}, "labels[0]: expected `id` from 0 to 2,147,483,647, got 2147483648"),
        (
            {"labels": [{"id": 0, "name": "x", "color": [0, 0, 256]}]},
            "labels[0]: expected `color` from 0 to 255, got 256",
        ),
        ({"labels": [{"id": 0, "name": "<b>"}]}, "labels[0]: expected name to be one line of at most 100 printable"),
        ({"labels": [{"id": 0, "name": "a|b"}]}, "labels[0]: expected name to be one line of at most 100 printable"),
        ({"labels": [{"id": 0, "name": "a\nb"}]}, "labels[0]: expected name to be one line of at most 100 printable"),
        ({"labels": [{"id": 0, "name": ""}]}, "labels[0]: expected name to be one line of at most 100 printable"),
        (
            {"labels": [{"id": 0, "name": "x" * 101}]},
            "labels[0]: expected name to be one line of at most 100 printable",
        ),
        ({"input": {"window": [8, 8, 1000000000]}}, "input: expected `window` from 1 to 4,096"),
        ({"input": {"window": [8, 8, 8], "spacing": [1, 1, 0.001]}}, "input: expected `spacing` from 0.01 to 30"),
        (
            {"input": {"window": [8, 8, 8], "spacing": [1, 1, 31]}},
            "input: expected `spacing` from 0.01 to 30, got 31",
        ),
        (
            {"input": {"window": [8, 8, 8], "spacing": [1, 1, NAN]}},
            "input: expected `spacing` from 0.01 to 30, got nan",
        ),
        ({"input": {"window": [8, 8, 8], "orientation": ""}}, "input: expected orientation of three letters"),
        (
            {"input": {"window": [8, 8, 8], "normalization": "zcore"}},
            "input: expected normalization to be one of 'zscore', 'percentile', 'minmax', 'ct', 'none', got 'zcore'; "
            "did you mean 'zscore'?",
        ),
        ({"input": {"window": [8, 1, 8], "context": 33}}, "input: expected `context` from 0 to 32"),
        (
            {"network": {"architecture": "UNet", "arguments": {"filters": [1, 1e9]}}},
            "expected `arguments: filters` from",
        ),
        ({"network": {"architecture": "UNet", "arguments": {"a": {"b": NAN}}}}, "expected `arguments: a` from"),
        ({"network": []}, "network: expected a table of keys and values, got []"),
        ({"score": {"dice": NAN}}, "expected score.dice from 0 to 1, got nan"),
        ({"score": {"dice": 1.5}}, "expected score.dice from 0 to 1, got 1.5"),
        ({"score": {"dice_by_structure": {"x": -1}}}, "expected score.dice_by_structure from 0 to 1, got -1"),
        ({"score": {"epochs": float("inf")}}, "expected score.epochs from"),
        ({"score": [1]}, "score: expected a table"),
        ({"data": {"licence": ["a"]}}, "expected data.licence to be a text, got ['a']"),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "entropy": NAN}},
            "typical: expected entropy from 0 to 1, got nan",
        ),
        ({"typical": {**dataclasses.asdict(TYPICAL), "at_edge": 2}}, "typical: expected at_edge from 0 to 1, got 2"),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "found": {"x": 7}}},
            "typical: expected found.x from 0 to 1, got 7",
        ),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "volume_ml": [3, 2]}},
            "typical: expected volume_ml as smallest and largest volume",
        ),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "structures_ml": {"x": (3, 2)}}},
            "typical: expected structures_ml.x as smallest and largest volume",
        ),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "structures_ml": {"x": (-1, 2)}}},
            "typical: expected structures_ml.x at least 0, got -1",
        ),
        (
            {"typical": {**dataclasses.asdict(TYPICAL), "scans": 0}},
            "typical: expected scans at least 1, got 0",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(changes, message, write):
    folder = write(lambda mapping: mapping["weight_sets"]["balls"].update(changes))
    with pytest.raises(RecordError) as caught:
        Preset.read(folder)
    assert str(caught.value).startswith(f"{folder / 'preset.json'}: weight_sets.balls") and message in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "", ".", "..", ".x", "a/b", "a\\b", "a\nb", "<b>", "x" * 65, "a b"]
)
@pytest.mark.parametrize("kind", ["preset", "weight set", "ensemble"])
def test_a_name_that_is_no_name_is_refused(kind, name, write):
    def rename(mapping):
        if kind == "preset":
            mapping["name"] = name
        elif kind == "weight set":
            mapping["weight_sets"][name] = mapping["weight_sets"].pop("more")
        else:
            mapping["ensembles"] = {name: {"balls": 1, "more": 1}}

    message = (
        r"preset.json: expected .*name.* to be at most 64 letters, digits, '_', '-' or '\.', the first no '\.', got "
    )
    with pytest.raises(RecordError, match=message):
        Preset.read(write(rename))


@pytest.mark.parametrize(
    "content", ["[]", "null", "3", '"text"', "{}", '{"name": "x"', "\x00", "[" * 100_000, "9" * 5000]
)
def test_any_other_content_is_one_error_that_names_the_file(content, tmp_path):
    (tmp_path / "preset.json").write_text(content)
    with pytest.raises(RecordError, match=r"preset\.json: expected ") as caught:
        Preset.read(tmp_path)
    assert caught.value.file and "\n" not in str(caught.value)


def test_a_file_cut_off_anywhere_is_one_error(tmp_path):
    text = PRESET.to_json().encode()
    for length in range(0, len(text) - 2, 37):
        (tmp_path / "preset.json").write_bytes(text[:length])
        with pytest.raises(RecordError, match=r"preset\.json: expected a preset in valid JSON, got "):
            Preset.read(tmp_path)


def test_a_description_knows_where_its_files_lie(tmp_path, write):
    described = Preset.read(write()).weight_sets["balls"]
    assert described.path == tmp_path / "balls.safetensors" and described.recipe_path == tmp_path / "balls.toml"
    assert described == WEIGHT_SET and described.folder == tmp_path
    with pytest.raises(ValueError, match="expected weights in a preset's folder, got a description alone"):
        WEIGHT_SET.read_weights()
    with pytest.raises(WeightsError, match=r"balls\.safetensors: expected a file of weights that can be read"):
        described.read_weights()
    assert Preset.read(tmp_path).to_json() == PRESET.to_json()


def test_a_preset_prints_as_a_table():
    data = {"licence": "CC BY-NC 3.0,\nacademic"}
    views = dataclasses.replace(VIEWS, weight_sets={**VIEWS.weight_sets, "more": dataclasses.replace(MORE, data=data)})
    assert repr(views).splitlines() == str(views).splitlines() == [
        "preset  weights  Dice   parameters  licence                             segments",
        "tiny    balls    0.500  12          not stated                          balls",
        "tiny    more     0.500  12          CC BY-NC 3.0, academic              balls",
        "tiny    both *          24          not stated; CC BY-NC 3.0, academic  average of 0.4 balls, 0.6 more",
    ]  # fmt: skip


def test_a_weight_set_prints_as_a_few_lines():
    lines = repr(WEIGHT_SET).splitlines()
    assert lines[0] == "balls" and max(map(len, lines)) < 120
    assert [line.split()[0] for line in lines[1:]] == [
        "network", "input", "labels", "trained", "licence", "score", "weights"
    ]  # fmt: skip
    assert "8 x 8 x 16 voxels of 1 x 1.5 x 2 mm, LIA, ct" in lines[2] and "2: background, Schäle" in lines[3]


def test_normalisations_are_those_of_volumes():
    assert tuple(METHODS) == NORMALIZATIONS


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
        ({"level": 2}, "network.arguments: expected known keys, got the unknown key 'level'; did you mean 'levels'?"),
        (
            {"input_shape": [8, 8, 1]},
            "network.arguments: expected known keys, got the unknown key 'input_shape'; known keys: levels, filters, ",
        ),
        (
            {"dtype": "float32"},
            "network.arguments: expected known keys, got the unknown key 'dtype'; known keys: levels, ",
        ),
        (
            {"recalibration": "cse", "recalibration_args": {"reduction": 2}},
            "network.arguments.recalibration_args: expected known keys, got the unknown key 'reduction'; did you mean "
            "'reduction_ratio'?",
        ),
        ({"filters": 4.5}, "expected arguments that fit UNet, got network.arguments that do not ("),
    ],
)
def test_arguments_that_do_not_fit_the_network(arguments, message):
    with pytest.raises(RecordError) as caught:
        Network("UNet", arguments).build((8, 8, 1), 3)
    assert str(caught.value).startswith(message)


def test_former_names_of_arguments_become_the_current_ones(write):
    network = {"architecture": "UNet", "arguments": {"stem": 2, "levels": 1}}
    folder = write(lambda mapping: mapping["weight_sets"]["balls"].update(network=network))
    described = Preset.read(folder).weight_sets["balls"].network
    assert described == Network("UNet", {"patch_size": 2, "levels": 1})
    described.check()
    with pytest.raises(RecordError, match="unknown key 'stem'"):
        Network("UNet", {"stem": 2, "patch_size": 2}).check()


def test_arguments_of_a_block_and_of_its_bases_are_known():
    taken = {"reduction_ratio": 4, "use_bias": False, "use_identity_start": True, "data_format": "channels_last"}
    Network("DenseNet", {"recalibration": "pe", "recalibration_args": taken}).check()


def test_builds_the_network_it_describes():
    model = WEIGHT_SET.build(dtype="mixed_bfloat16")
    assert type(model).__name__ == "UNet"
    assert (model.input_shape, model.output_shape) == ((None, 8, 8, 16, 1), (None, 8, 8, 16, 2))
    assert model.get_layer("classifier").dtype_policy.name == "mixed_bfloat16"
    assert WEIGHT_SET.build(num_classes=5, input_shape=(None, None, None, 2)).output_shape[-1] == 5


def test_too_few_classes_are_refused():
    with pytest.raises(ValueError, match="expected `num_classes` to be at least 1, got 0"):
        WEIGHT_SET.build(num_classes=0)


def test_a_2d_network_with_context_has_a_channel_for_each_slice():
    expects = Input((8, 1, 16), context=3)
    assert (expects.slice_axis, expects.depth, expects.margin, expects.shape) == (1, 7, (0, 3, 0), (8, 16, 7))
    alone, solid = Input((8, 1, 16)), Input((8, 4, 16))
    assert (alone.depth, alone.margin, alone.shape) == (1, (0, 0, 0), (8, 16, 1))
    assert (solid.depth, solid.margin, solid.shape) == (1, (0, 0, 0), (8, 4, 16, 1))


def test_descriptions_show_as_tables_in_notebooks():
    page = VIEWS._repr_html_()
    assert page.startswith("<p><b>tiny</b></p><table>") and page.count("<tr>") == 4
    assert "<td>average of 0.4 balls, 0.6 more</td>" in page
    titled = dataclasses.replace(WEIGHT_SET, data={"source": "a & b"})
    assert "<td>trained on</td><td>a &amp; b</td>" in titled._repr_html_()


def test_long_descriptions_are_wrapped():
    long = dataclasses.replace(WEIGHT_SET, data={"source": "scans of " + "a large hospital and " * 20})
    assert max(map(len, repr(long).splitlines())) <= 100
    shortened = repr(
        dataclasses.replace(PRESET, weight_sets={"balls": dataclasses.replace(WEIGHT_SET, title="x" * 150)})
    )
    assert max(map(len, shortened.splitlines())) < 120 and "x…" in shortened
