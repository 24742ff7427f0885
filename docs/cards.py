"""Writes the cards of all presets and drafts again from their descriptions: `python -m docs.cards`."""

from pathlib import Path

from recalib_keras.core.files import write_text
from recalib_keras.zoo import Preset
from recalib_keras.zoo.pages.card import card

ZOO = Path(__file__).resolve().parents[1] / "zoo"


def main() -> None:
    """Writes the cards."""
    for description in sorted([*ZOO.glob("presets/*/preset.json"), *ZOO.glob("drafts/*/preset.json")]):
        write_text(description.with_name("README.md"), card(Preset.read(description.parent)))


if __name__ == "__main__":
    main()
