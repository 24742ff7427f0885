"""The sets as TensorFlow Datasets builders: import this module, then `tfds.load` knows them.

    import tensorflow_datasets as tfds
    import recalib_keras.datasets.builders

    folder = tfds.download.DownloadConfig(manual_dir="FOLDER")
    tfds.load("msd/Task04_Hippocampus", split="train", download_and_prepare_kwargs={"download_config": folder})

All of them take files that you have and never go to the network. Each example is one scan: `image` (float32) and
`labels` (int32), both `(x, y, z)` on one grid, its `affine` (4, 4) to millimetres RAS+ and its `spacing` (mm), `name`
and `patient`. Label names, licence and citation are in `builder.info`, the names in its `metadata["labels"]`.

What was built once is loaded again without a look at `manual_dir`, so give each folder of your own a name of its own:
`tfds.load("msd", builder_kwargs={"config": ScansConfig(name="our_livers")}, ...)`, then `tfds.load("msd/our_livers")`.

Splits: `train` and `validation`, and `test` where the set is officially split, each with whole patients. Slices of a
split (`train[:80%]`) know no patients: where a patient has several scans, pick by the feature `patient` instead.

Building with Apache Beam: give the `DownloadConfig` a `beam_runner` or `beam_options` (and `pip install apache-beam`).
"""

import dataclasses
from pathlib import Path

import numpy as np

from recalib_keras import datasets

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise ImportError(
        "building data sets needs TensorFlow Datasets, which is not installed; run: pip install tensorflow-datasets "
        "tensorflow"
    ) from error


@dataclasses.dataclass
class ScansConfig(tfds.core.BuilderConfig):
    """Which scans a builder takes. A config of your own names a folder of your own: `ScansConfig(name="our_livers")`.

    Args:
        name: part of the path of what is built, so one for each folder.
        dataset: one of `recalib_keras.datasets.names()`, where builder and `name` do not tell it, such as `"chaos/ct"`.
        volume: which volume of 4-D images, counted from 0; None for 3-D images.
        validate_every: of the patients in order, every so many-th is in the split `validation`, from the first.
    """

    dataset: str = ""
    volume: int | None = None
    validate_every: int = 5


class LocalInfo(tfds.core.DatasetInfo):
    """Information on a set that is nowhere else: nothing about it is looked for in the cloud."""

    def initialize_from_bucket(self) -> None:
        """Does nothing."""


class ScansBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What all builders share: `recalib_keras.datasets` finds, checks and reads the scans."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    # The `Review` of the folder to build from, where it was read just before; else the builder reads it itself.
    checked = None

    @property
    def dataset(self):
        """The set's name as `recalib_keras.datasets` has it."""
        if self.builder_config and self.builder_config.dataset:
            return self.builder_config.dataset
        name = f"{self.name}/{self.builder_config_name}"
        return name if name in datasets.names() else self.name

    def download_and_prepare(self, *, download_config=None, **arguments) -> None:
        """Builds the set from the files in `download_config.manual_dir`; other arguments as in TensorFlow Datasets.

        Raises:
            DatasetError: something is wrong with the files; all that is wrong is told, and nothing is built.
            FileNotFoundError: the files are not there.
            ValueError: what was built under this name before came from another folder.
            ImportError: Apache Beam is asked for and not installed.
        """
        config = dataclasses.replace(download_config or tfds.download.DownloadConfig(), try_download_gcs=False)
        self._beam = _import_beam() if config.beam_runner or config.beam_options else None
        self._check_origin(config)
        super().download_and_prepare(download_config=config, **arguments)

    def _check_origin(self, config):
        """Refuses to pass what was built from another folder off as the scans of this one."""
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


def example(scan):
    """Returns the key and the features of a `LabelledScan`; a function of its own, so that Beam can send it about."""
    image, labels = scan.read()
    return scan.name, {
        "image": image.array,
        "labels": labels.array.astype(np.int32),
        "affine": image.grid.affine,
        "spacing": np.array(image.grid.spacing),
        "name": scan.name,
        "patient": scan.patient,
    }


def parts(scans, validate_every):
    """Returns `(name of the split, its scans)` of each split that has scans; of a single patient all are `train`."""
    training, validation = datasets.split(scans, validate_every)
    if not training:
        training, validation = validation, []
    test = [scan for scan in scans if scan.part == "test"]
    return [(name, part) for name, part in (("train", training), ("validation", validation), ("test", test)) if part]


def _import_beam():
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "building with Apache Beam needs it installed; run: pip install apache-beam, or leave beam_runner and "
            "beam_options out to build in this process"
        ) from error
    return apache_beam


def _configs(builder):
    names = (name.partition("/")[2] for name in datasets.names() if name.startswith(f"{builder}/"))
    return [ScansConfig(name=name, description=datasets.describe(f"{builder}/{name}").title) for name in names]


def _instructions(builder):
    described = map(datasets.describe, (name for name in datasets.names() if name.partition("/")[0] == builder))
    return "\n\n".join(dict.fromkeys(f"{one.name}\n{one.layout}" for one in described))


class Msd(ScansBuilder):
    """Medical Segmentation Decathlon: a config a task, one a modality, and `folder` for any other of its layout."""

    BUILDER_CONFIGS = [ScansConfig(name="folder", description=datasets.describe("msd").title), *_configs("msd")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = datasets.describe("msd").layout


class Malc(ScansBuilder):
    """OASIS brains of the MICCAI 2012 multi-atlas labelling challenge."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("malc")


class Visceral(ScansBuilder):
    """VISCERAL Anatomy, contrast-enhanced CT."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("visceral")


class Chaos(ScansBuilder):
    """CHAOS: a config each for CT and the three MR sequences."""

    BUILDER_CONFIGS = _configs("chaos")
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("chaos")


class DukeDme(ScansBuilder):
    """Duke retinal OCT with diabetic macular edema."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("duke_dme")


class NiftiFolder(ScansBuilder):
    """A user's own folder of images and label maps."""

    BUILDER_CONFIGS = [ScansConfig(name="folder", description=datasets.describe("nifti_folder").title)]
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("nifti_folder")
