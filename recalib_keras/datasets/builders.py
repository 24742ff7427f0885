"""The sets as TensorFlow Datasets builders: import this module, then `tfds.load` knows them.

    import tensorflow_datasets as tfds
    import recalib_keras.datasets.builders

    folder = tfds.download.DownloadConfig(manual_dir="FOLDER")
    tfds.load("msd/Task04_Hippocampus", split="train", download_and_prepare_kwargs={"download_config": folder})

All builders take files that you have and never use the network. Each example is one scan: `image` (float32) and
`labels` (int32), both `(x, y, z)` on one grid, its `affine` (4, 4) to millimetres RAS+ and its `spacing` (mm), `name`
and `patient`. Label names, licence and citation are in `builder.info`, the names in its `metadata["labels"]`.

A set that was built once is loaded again without a look at `manual_dir`. So give each of your folders its own name:
`tfds.load("msd", builder_kwargs={"config": ScansConfig(name="our_livers")}, ...)`, then `tfds.load("msd/our_livers")`.

Splits: `train` and `validation`, and `test` if the set has an official split. A patient is in one split only. Slices of
a split (`train[:80%]`) ignore patients: if a patient has several scans, select by the feature `patient` instead.

Building with Apache Beam: give the `DownloadConfig` a `beam_runner` or `beam_options` (and `pip install apache-beam`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recalib_keras import datasets
from recalib_keras.core.errors import missing_package
from recalib_keras.datasets.channels import several_channels

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    command = "pip install tensorflow-datasets tensorflow"
    raise missing_package("recalib_keras.datasets.builders", "TensorFlow Datasets", command) from error


@dataclasses.dataclass
class ScansConfig(tfds.core.BuilderConfig):
    """Which scans a builder takes. Give each of your own folders a config: `ScansConfig(name="our_livers")`.

    Args:
        name: Part of the path of the built set, so one for each folder.
        dataset: One of `recalib_keras.datasets.names()`, such as `"chaos/ct"`, if builder and `name` do not say it.
        volume: Which volume of 4-D images, counted from 0; None for 3-D images.
        validate_every: Of the patients in order, every n-th is in the split `validation`, from the first.
    """

    dataset: str = ""
    volume: int | None = None
    validate_every: int = 5


class LocalInfo(tfds.core.DatasetInfo):
    """Information on a set that exists only here: nothing about it is looked up in the cloud."""

    def initialize_from_bucket(self) -> None:
        """Does nothing."""


class ScansBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What all builders share: `recalib_keras.datasets` finds, checks and reads the scans.

    Attributes:
        checked: The review of the folder to build from, if it was just read; otherwise the builder reads the folder.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    checked: datasets.Review | None = None

    @property
    def dataset(self) -> str:
        """The set's name in `recalib_keras.datasets.names()`."""
        if self.builder_config and self.builder_config.dataset:
            return self.builder_config.dataset
        name = f"{self.name}/{self.builder_config_name}"
        return name if name in datasets.names() else self.name

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **arguments: Any
    ) -> None:
        """Builds the set from files that you have.

        Args:
            download_config: Its `manual_dir` is the folder of the files.
            **arguments: See TensorFlow Datasets.

        Raises:
            DatasetError: Something is wrong with the files; lists everything, and nothing is built.
            FileNotFoundError: The files are missing.
            ValueError: A set of this name was built before, from another folder.
            ImportError: Apache Beam is requested but not installed.
        """
        config = dataclasses.replace(download_config or tfds.download.DownloadConfig(), try_download_gcs=False)
        self._beam = _import_beam() if config.beam_runner or config.beam_options else None
        self._check_origin(config)
        super().download_and_prepare(download_config=config, **arguments)

    def _check_origin(self, config):
        """Refuses a set that was built from another folder."""
        if config.manual_dir is None or not self.is_prepared() or config.download_mode.overwrite_dataset:
            return
        asked, origin = str(Path(config.manual_dir).resolve()), self.info.metadata.get("folder")
        if asked != origin:
            raise ValueError(
                f"expected the scans of {asked}, got {self.data_dir}, which was built from {origin}; build under "
                'another name, config=ScansConfig(name="..."), or in another data_dir'
            )

    def _info(self):
        described = datasets.describe(self.dataset)
        volume = {"shape": (None, None, None), "encoding": "zlib"}
        return LocalInfo(
            builder=self,
            description=f"{described.title}\n\n{described.layout}",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(dtype=np.float32, **volume),
                    "labels": tfds.features.Tensor(dtype=np.int32, **volume),
                    "affine": tfds.features.Tensor(shape=(4, 4), dtype=np.float64),
                    "spacing": tfds.features.Tensor(shape=(3,), dtype=np.float64),
                    "name": tfds.features.Text(),
                    "patient": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "labels"),
            homepage=described.homepage,
            citation=described.citation,
            license=described.licence,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        folder = Path(dl_manager.manual_dir)
        config = self.builder_config or ScansConfig(name="")
        found = datasets.survey(folder, self.dataset, config.volume)
        several = next((scan for scan in found.scans if scan.channels), None)
        if several is not None:
            raise several_channels(several, folder)
        review = self.checked or datasets.review(found.scans, found.labels)
        problems = [*found.problems, *found.remarks, *review.problems]
        if problems:
            raise datasets.DatasetError(problems)
        self.info.metadata.update(
            dataset=self.dataset,
            labels={str(number): name for number, name in review.names(found.labels).items()},
            folder=str(folder.resolve()),
        )
        return {part: self._generate_examples(scans) for part, scans in parts(found.scans, config.validate_every)}

    def _generate_examples(self, scans):
        if self._beam:
            return self._beam.Create(scans) | self._beam.Map(example)
        return map(example, scans)


def example(scan: datasets.LabelledScan) -> tuple[str, dict[str, Any]]:
    """Returns the key and the features of a scan. It is a plain function, so that Beam can send it to workers.

    Args:
        scan: The scan to read.

    Raises:
        DatasetError: The scan cannot be read.
    """
    image, labels = scan.read()
    return scan.name, {
        "image": image.array,
        "labels": labels.array.astype(np.int32),
        "affine": image.grid.affine,
        "spacing": np.array(image.grid.spacing),
        "name": scan.name,
        "patient": scan.patient,
    }


def parts(scans: Sequence[datasets.LabelledScan], validate_every: int) -> list[tuple[str, list[datasets.LabelledScan]]]:
    """Returns `(name, scans)` of each split that has scans; all scans of a single patient are `train`.

    Args:
        scans: All scans.
        validate_every: Of the patients in order, every n-th validates, from the first.
    """
    training, validation = datasets.split(scans, validate_every)
    if not training:
        training, validation = validation, []
    test = [scan for scan in scans if scan.part == "test"]
    return [(name, part) for name, part in (("train", training), ("validation", validation), ("test", test)) if part]


def _import_beam():
    try:
        import apache_beam
    except ImportError as error:
        command = "pip install apache-beam, or leave beam_runner and beam_options out to build in this process"
        raise missing_package("building with several processes", "Apache Beam", command) from error
    return apache_beam


def _configs(builder):
    names = (name.partition("/")[2] for name in datasets.names() if name.startswith(f"{builder}/"))
    return [ScansConfig(name=name, description=datasets.describe(f"{builder}/{name}").title) for name in names]


def _instructions(builder):
    described = map(datasets.describe, (name for name in datasets.names() if name.partition("/")[0] == builder))
    return "\n\n".join(dict.fromkeys(f"{one.name}\n{one.layout}" for one in described))


class Msd(ScansBuilder):
    """Medical Segmentation Decathlon: a config for each task and modality, and `folder` for others of its layout."""

    BUILDER_CONFIGS: ClassVar = [
        ScansConfig(name="folder", description=datasets.describe("msd").title),
        *_configs("msd"),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = datasets.describe("msd").layout


class Malc(ScansBuilder):
    """OASIS brains of the MICCAI 2012 multi-atlas labelling challenge."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("malc")


class Visceral(ScansBuilder):
    """VISCERAL Anatomy, contrast-enhanced CT."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("visceral")


class Chaos(ScansBuilder):
    """CHAOS: a config for CT and one for each of the three MR sequences."""

    BUILDER_CONFIGS: ClassVar = _configs("chaos")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("chaos")


class DukeDme(ScansBuilder):
    """Duke retinal OCT with diabetic macular edema."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("duke_dme")


class NiftiFolder(ScansBuilder):
    """A user's own folder of images and label maps."""

    BUILDER_CONFIGS: ClassVar = [ScansConfig(name="folder", description=datasets.describe("nifti_folder").title)]
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("nifti_folder")
