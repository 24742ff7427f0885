"""Draws the pictures of the tutorials: `python -m docs.tutorial_pictures [TUTORIAL …]`.

Runs each tutorial as it stands, in an empty folder, and keeps the picture that it shows. It takes a minute or two.
"""

import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from docs.site import tutorials
from docs.site.gallery import DOCS
from docs.small_png import write_small_png

# The file that each tutorial with a picture writes in its folder.
SHOWN = {"segment": "overlay.png", "synthesis": "scans.png"}
WIDEST = 1100  # pixels


def main(names: Sequence[str]) -> int:
    """Draws the pictures of some tutorials, or of all that have one."""
    here = Path.cwd()
    sys.path.insert(0, str(tutorials.FOLDER))
    for name in names or SHOWN:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                runpy.run_path(str(tutorials.FOLDER / f"{name}.py"), run_name="__main__")
            finally:
                os.chdir(here)
            image = Image.open(Path(folder, SHOWN[name])).convert("RGB")
        image.thumbnail((WIDEST, WIDEST * 2))
        target = DOCS / "pictures" / f"tutorial_{name}.png"
        write_small_png(image, target, colors=128)
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
