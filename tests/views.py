"""A preset of three tiny 2-D networks that segment together, one of which cannot tell the sides apart."""

import dataclasses

import numpy as np

from recalib_keras.zoo import Input, Label, Network, weights
from recalib_keras.zoo.preset import Preset, WeightSet

SIZE = 8
SIDES = (
    Label(0, "background"),
    Label(4, "left", (255, 0, 0), mirror=9),
    Label(9, "right", (0, 255, 0), mirror=4),
    Label(5, "middle", (0, 0, 255)),
)
ONE_SIDE = (SIDES[0], dataclasses.replace(SIDES[1], name="side", mirror=None), SIDES[3])
SHARES = {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}
AXES = {"axial": 2, "coronal": 1, "sagittal": 0}


def write_views(folder, context=1, licence="CC0"):
    """Writes the preset with random weights; returns its folder."""
    folder.mkdir(parents=True)
    sets = {name: _view(folder, name, axis, context, licence) for name, axis in AXES.items()}
    preset = Preset(folder.name, sets, {"all_views": SHARES})
    (folder / "preset.json").write_text(preset.to_json(), encoding="utf-8")
    return folder


def _view(folder, name, axis, context, licence):
    described = WeightSet(
        title=f"two sides in {name} slices",
        network=Network("UNet", {"levels": 1, "filters": 4, "normalization": "batch"}),
        input=Input(tuple(1 if each == axis else SIZE for each in range(3)), context=context),
        labels=ONE_SIDE if name == "sagittal" else SIDES,
        file=f"{name}.safetensors",
        sha256="",
        parameters=0,
        data={"licence": licence},
    )
    model = described.build()
    rng = np.random.default_rng(axis)
    model.set_weights([rng.uniform(0.2, 1, one.shape) if "norm" in one.path else rng.normal(0, 0.5, one.shape)
                       for one in model.weights])  # fmt: skip
    content = weights.serialize(model)
    (folder / described.file).write_bytes(content)
    return dataclasses.replace(described, sha256=weights.sha256(content), parameters=model.count_params())
