import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.reports.pictures import GLYPHS, plane, planes, png, thumbnail
from recalib_keras.reports.viewer import viewer_scan


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (120, 331)])
def test_a_png_holds_its_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


@pytest.fixture
def viewed(scan, segmentation):
    return viewer_scan(scan, segmentation.labels, segmentation.structures)


def test_left_is_on_the_left_and_up_is_up(viewed):
    viewed = dataclasses.replace(viewed, intensities=np.zeros_like(viewed.intensities))
    picture = planes(viewed, 64, opacity=1)
    sizes = np.array(viewed.grid.shape) * viewed.grid.spacing
    axial = picture[:, -round(64 / sizes[1:].max() * sizes[0]) :]
    red, green = (np.nonzero((axial == colour).all(axis=-1))[1] for colour in ((255, 0, 0), (0, 255, 0)))
    assert red.size and green.size and red.max() < green.min()


@pytest.mark.parametrize("view", VIEWS, ids=[view.name for view in VIEWS])
def test_a_plane_alone_has_its_height_and_proportions(viewed, view):
    wide, tall = (viewed.grid.shape[axis] * viewed.grid.spacing[axis] for axis in view.shown)
    pixels = plane(viewed, view, 64, opacity=1)
    assert pixels.shape == (64, round(64 * wide / tall), 3)
    shown = {tuple(colour) for colour in pixels.reshape(-1, 3)} & set(viewed.colors)
    classes = np.unique(np.take(viewed.classes, viewed.centre[view.axis], view.axis))
    assert shown == {viewed.colors[place - 1] for place in classes[classes > 0]}


def test_colours_are_blended_by_the_opacity(viewed):
    at = tuple(viewed.centres()[0])
    viewed = dataclasses.replace(viewed, intensities=np.full_like(viewed.intensities, 100))
    viewed.__dict__["centre"] = list(at)
    for opacity, expected in ((0, (100, 100, 100)), (0.5, (178, 50, 50)), (1, (255, 0, 0))):
        picture = planes(viewed, 64, opacity)
        assert expected in {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}


def test_a_picture_names_the_sides(viewed):
    """The letters L and R are at the borders of the axial slice, in white."""
    blank = dataclasses.replace(
        viewed, intensities=np.zeros_like(viewed.intensities), classes=np.zeros_like(viewed.classes)
    )
    picture = planes(blank, 100)[..., 0] > 200
    rows = [[bool(row >> place & 1) for place in range(4, -1, -1)] for row in GLYPHS["R"]]
    top, last = np.nonzero(picture)[0].min(), np.nonzero(picture)[1].max()
    np.testing.assert_array_equal(picture[top : top + 7, last - 4 : last + 1], rows)


def test_a_thumbnail_is_small(viewed):
    assert decoded(thumbnail(viewed)).shape[0] == 120 and len(thumbnail(viewed)) < 20_000


def test_a_scan_without_structures_still_has_a_picture(viewed):
    assert decoded(thumbnail(dataclasses.replace(viewed, classes=np.zeros_like(viewed.classes)))).any()
