"""The rules of an architecture, without building a network."""

import contextlib
import inspect
import subprocess
import sys

import pytest

from recalib_keras import layers, models
from recalib_keras.models import architecture
from recalib_keras.models.architecture import Architecture


def of(input_shape=(8, 8, 1), **arguments):
    return Architecture(input_shape, **{"num_classes": 3, "levels": 1, "filters": 4, **arguments})


def test_descriptions_are_checked_without_keras():
    code = (
        "import sys\n"
        "from recalib_keras.models.architecture import Architecture\n"
        "Architecture((8, 8, 1), 3, levels=2).completed(3, 'none', 'unpool')\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("input_shape", "filters", "kernel_size"), [((16, 16, 1), 64, 7), ((16, 16, 16, 1), 32, 3)])
def test_defaults_depend_on_the_rank(input_shape, filters, kernel_size):
    found = Architecture(input_shape, 2).completed(7, "batch", "unpool")
    assert (found.filters, found.kernel_size, found.normalization, found.upsampling) == (
        *(filters, kernel_size),
        *("batch", "unpool"),
    )
    assert found.widths == (filters,) * 5
    assert (found.levels, found.positions) == (4, ("encoder", "decoder"))
    given = Architecture(input_shape, 2, kernel_size=5, normalization="group", upsampling="linear")
    assert given.completed(7, "batch", "unpool") == given


def test_networks_take_the_arguments_and_defaults_of_the_architecture():
    ours, networks = (inspect.signature(kind).parameters for kind in (Architecture, models.UNet))
    assert [*networks] == [*ours, "dtype", "name"]
    assert all(networks[name].default == parameter.default for name, parameter in ours.items())
    assert tuple(ours)[2:] == architecture.ARGUMENTS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 0}, "expected `patch_size` to be at least 1, got 0"),
        ({"head_filters": -1}, "expected `head_filters` to be at least 0, got -1"),
        ({"num_classes": 0}, "expected `num_classes` to be at least 1, got 0"),
        ({"levels": 0}, "expected `levels` to be at least 1, got 0"),
        ({"levels": 1.5}, "expected `levels` to be an integer, got 1.5"),
        (
            {"filters": (4, 4, 4)},
            "expected `filters` to be one integer or 2, one for each of 1 levels and one .*, got ",
        ),
        ({"normalization": "layer"}, r"expected `normalization` to be one of \('none', .*, got 'layer'"),
        ({"upsampling": "cubic"}, r"expected `upsampling` to be one of \('transpose', .*, got 'cubic'"),
        ({"positions": ("encoder", "P7")}, "expected `positions` to be one of P1, .* any of encoder, .*, got 'P7'"),
        ({"positions": "middle"}, "expected `positions` to be one of P1, .* any of encoder, .*, got 'middle'"),
        ({"positions": ("encoder_0",)}, "expected `positions` to be one of P1, .* got 'encoder_0'"),
        ({"positions": ("decoder_2",)}, "expected single stages in `positions` up to 'decoder_1', .* got 'decoder_2'"),
        ({"skip": "none"}, r"expected `skip` to be one of \('recalibrated', 'raw'\), got 'none'"),
        (
            {"classifier_activation": "relu"},
            r"expected `classifier_activation` to be one of \('softmax', 'sigmoid', None\), got 'relu'",
        ),
        ({"recalibration": "scce"}, "expected `recalibration` to be None, .* got 'scce'; did you mean 'scse'"),
        ({"recalibration": "zzz"}, "expected `recalibration` to be None, .* got 'zzz'$"),
        ({"input_shape": (8, 1)}, r"expected `input_shape` to be \(height, width, channels\) or .*, got \(8, 1\)"),
        ({"input_shape": (8, 8, 8, 8, 1)}, r"expected `input_shape` to be .*, got \(8, 8, 8, 8, 1\)"),
        (
            {"input_shape": (8, 8, None)},
            r"expected `input_shape` to end with the number of channels, got \(8, 8, None\)",
        ),
        (
            {"input_shape": (9, 8, 3, 1), "levels": 2},
            r"multiple of 4 \(2 to the number of levels, 2\), got \(9, 8, 3\); the nearest that fit: \(8 or 12, 8, 4\)",
        ),
        (
            {"input_shape": (None, 10, 1), "levels": 2},
            r"got \(None, 10\); the nearest that fit: \(any multiple, 8 or 12\)$",
        ),
        (
            {"input_shape": (96, 96, 8, 1), "levels": 4},
            r"the nearest that fit: \(96, 96, 16\); or pool the short axes less often, by `pool_sizes`",
        ),
        (
            {"input_shape": (96, 96, 9, 1), "levels": 2, "pool_sizes": [(2, 2, 1), 2], "patch_size": 2},
            r"multiples of \(8, 8, 4\) \(the products of `pool_sizes`, times `patch_size`, 2\), got \(96, 96, 9\)",
        ),
        (
            {"pool_sizes": [(2, 1)], "levels": 2},
            r"expected `pool_sizes` to have, for each of 2 levels, .*\[\(2, 1\), \(",
        ),
        ({"pool_sizes": [(2, 2, 1)]}, "1 or 2 for each of 2 axes and 2 for one of them"),
        ({"pool_sizes": [(1, 1)]}, "1 or 2 for each of 2 axes and 2 for one of them"),
        ({"pool_sizes": [(4, 2)]}, "1 or 2 for each of 2 axes and 2 for one of them"),
        ({"pool_sizes": 2}, "expected `pool_sizes` to have, for each of 1 levels"),
        ({"kernel_size": (3, 3, 3)}, "expected `kernel_size` to be a size from 1, 2 for the axes, or a list of 2 such"),
        ({"kernel_size": [(3, 1), 3, 3]}, "expected `kernel_size` to be a size from 1, 2 for the axes, or a list of 2"),
        ({"kernel_size": 0}, "expected `kernel_size` to be a size from 1"),
        (
            {"data_format": "channels_first"},
            r"expected `data_format` to be 'channels_last', since .*; move .*: numpy.moveaxis\(images, 1, -1\)",
        ),
    ],
    ids=str,
)
def test_refuses_arguments_outside_their_choices(arguments, message):
    with pytest.raises(ValueError, match=message):
        of(**arguments)


def test_sizes_of_pooling_and_kernels_by_level():
    found = of((8, 8, 8, 1), levels=2, pool_sizes=[[2, 2, 1], 2], kernel_size=[[3, 3, 1], 3, 5])
    assert [found.pool_size_at(level) for level in (1, 2)] == [(2, 2, 1), 2]
    assert [found.kernel_size_at(level) for level in (1, 2, 3)] == [(3, 3, 1), 3, 5]
    assert of(kernel_size=(3, 1)).kernel_size_at(2) == (3, 1)
    assert (of().pool_size_at(1), of(kernel_size=7).kernel_size_at(1)) == (2, 7)


def test_a_single_class_has_a_sigmoid():
    assert of(num_classes=1).classifier_activation == "sigmoid"
    assert of(num_classes=1, classifier_activation=None).classifier_activation is None


def test_places_of_the_blocks():
    assert of(positions="P6").positions == ("encoder", "decoder", "bottleneck", "classifier")
    assert of(positions="bottleneck").positions == ("bottleneck",)
    chosen = of(recalibration="pe", positions=["decoder", "encoder_1"], levels=2, filters=4)
    assert chosen.block_at("encoder", "encoder_1") is chosen.block_at("decoder", "decoder_2") is layers.ProjectExcite
    assert chosen.block_at("encoder", "encoder_2") is None


def test_blocks_by_name_by_registered_name_and_by_class():
    assert architecture.block_class("cse") is architecture.block_class(layers.ChannelSE) is layers.ChannelSE
    assert architecture.block_class("recalib_keras>ChannelSE") is layers.ChannelSE
    assert architecture.block_class(None) is None
    assert {name: architecture.block_class(name) for name in architecture.BLOCKS} == models.RECALIBRATIONS


def test_arguments_of_a_block_include_those_of_its_bases():
    found = architecture.block_arguments(layers.ChannelSpatialSE)
    assert (found["reduction_ratio"], found["aggregation"], found["use_identity_start"]) == (2, "max", False)
    assert not {"self", "dtype", "name", "kwargs"} & found.keys()


@pytest.mark.parametrize(
    ("positions", "smallest"), [(("encoder",), 2), (("encoder_2", "bottleneck"), 4), (("classifier",), 3), ((), 8)]
)
def test_smallest_width_that_a_block_sees(positions, smallest):
    assert architecture.smallest_width(positions, (2, 4, 8), num_classes=3) == smallest


@pytest.mark.parametrize(
    ("block", "arguments", "channels", "fits"),
    [
        (layers.ChannelSE, {}, 2, True),
        (layers.ChannelSE, {"reduction_ratio": 4}, 3, False),
        (layers.CBAM, {}, 8, False),
        (layers.SegSE, {}, 4, True),  # it expands them to 16
        (layers.SegSE, {"expansion_factor": None}, 4, False),
        (layers.SpatialSE, {}, 1, True),
    ],
)
def test_reduction_ratios_fit_where_the_block_can_be_built(block, arguments, channels, fits):
    for check in (
        lambda: architecture.check_reduction_ratio(block, arguments, channels),
        lambda: block(**arguments).build((None, 4, 4, channels)),
    ):
        with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="`reduction_ratio` of"):
            check()


def test_former_names_become_the_current_ones():
    assert architecture.with_current_names({"stem": 2, "levels": 1}) == {"patch_size": 2, "levels": 1}
    both = {"stem": 2, "patch_size": 1}  # left to the check of names, which refuses `stem`
    assert architecture.with_current_names(both) == both
