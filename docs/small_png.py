"""PNG files of few colours, small enough for a repository."""

from pathlib import Path

from PIL import Image

from recalib_keras.core.files import atomic_write


def write_small_png(image: Image.Image, path: Path, colors: int = 256) -> None:
    """Writes an image with a palette that keeps the small areas' colours, too.

    Args:
        image: The image.
        path: The file to create or replace.
        colors: Entries of the palette, at most 256.
    """
    few = image.convert("RGB").quantize(colors, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: few.save(temporary, format="png", optimize=True))
