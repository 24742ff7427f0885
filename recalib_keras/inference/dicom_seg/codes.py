"""The codes of structures: SNOMED CT and DICOM's own, as in DICOM's context groups; a private scheme for the others."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from recalib_keras.core.messages import plain_name
from recalib_keras.evaluation.structures import side, without_side

PRIVATE = "99RECALIB"  # DICOM's private schemes begin with 99
LONGEST_MEANING = 64


class Code(NamedTuple):
    """A code as DICOM has it.

    Args:
        value: Its value.
        scheme: `"SCT"` (SNOMED CT), `"DCM"` (DICOM), or a private one.
        meaning: What it means, in words.
    """

    value: str
    scheme: str
    meaning: str


class StructureCode(NamedTuple):
    """What a segment shows.

    Args:
        category: A structure of the body, or a substance in it.
        type: Which one.
        modifier: The side or the part, or None.
    """

    category: Code
    type: Code
    modifier: Code | None = None


ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
BODY_SUBSTANCE = Code("91720002", "SCT", "Body Substance")
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}
ANTERIOR, POSTERIOR = Code("255549009", "SCT", "Anterior"), Code("255551008", "SCT", "Posterior")
CEREBROSPINAL_FLUID = Code("65216001", "SCT", "Cerebrospinal Fluid")

# Brain: context group 7140 (Brain Structure for Volumetric Measurement). Others: the anatomical context groups of
# DICOM PS3.16. By name without a side, in lower case.
TYPES = {
    "accumbens area": Code("427667007", "SCT", "Nucleus Accumbens"),
    "amygdala": Code("4958002", "SCT", "Amygdala"),
    "aorta": Code("15825003", "SCT", "Aorta"),
    "brain stem": Code("119238007", "SCT", "Brain Stem"),
    "caudate": Code("11000004", "SCT", "Caudate Nucleus"),
    "cerebellum cortex": Code("25991003", "SCT", "Cerebellar Cortex"),
    "cerebellum white matter": Code("33060004", "SCT", "Cerebellar White Matter"),
    "cerebral cortex": Code("40146001", "SCT", "Cerebral Gray Matter"),
    "cerebral white matter": Code("68523003", "SCT", "Cerebral White Matter"),
    "cerebrospinal fluid": CEREBROSPINAL_FLUID,
    "esophagus": Code("32849002", "SCT", "Esophagus"),
    "hippocampus": Code("5366008", "SCT", "Hippocampus"),
    "inferior lateral ventricle": Code("53118009", "SCT", "Inferior Horn of Lateral Ventricle"),
    "kidney": Code("64033007", "SCT", "Kidney"),
    "larynx": Code("4596009", "SCT", "Larynx"),
    "lateral ventricle": Code("66720007", "SCT", "Lateral Ventricle"),
    "liver": Code("10200004", "SCT", "Liver"),
    "lung": Code("39607008", "SCT", "Lung"),
    "mandible": Code("91609006", "SCT", "Mandible"),
    "optic chiasm": Code("244453006", "SCT", "Optic chiasm"),
    "optic nerve": Code("18234004", "SCT", "Optic nerve"),
    "pallidum": Code("14738005", "SCT", "Globus Pallidus"),
    "pancreas": Code("15776009", "SCT", "Pancreas"),
    "parotid gland": Code("45289007", "SCT", "Parotid gland"),
    "putamen": Code("89278009", "SCT", "Putamen"),
    "spinal cord": Code("2748008", "SCT", "Spinal cord"),
    "spleen": Code("78961009", "SCT", "Spleen"),
    "submandibular gland": Code("54019009", "SCT", "Submandibular gland"),
    "thalamus": Code("119406000", "SCT", "Thalamus"),
    "third ventricle": Code("49841001", "SCT", "Third ventricle"),
    "fourth ventricle": Code("35918002", "SCT", "Fourth Ventricle"),
    "trachea": Code("44567001", "SCT", "Trachea"),
    "ventral diencephalon": Code("110700", "DCM", "Ventral Diencephalon"),
}
# Other names of the same structures: those of FreeSurfer and of data sets.
SYNONYMS = {
    "3rd ventricle": "third ventricle",
    "4th ventricle": "fourth ventricle",
    "brainstem": "brain stem",
    "csf": "cerebrospinal fluid",
    "inf lat vent": "inferior lateral ventricle",
    "nucleus accumbens": "accumbens area",
    "oesophagus": "esophagus",
    "parotid": "parotid gland",
    "submandibular": "submandibular gland",
    "thalamus proper": "thalamus",
    "ventral dc": "ventral diencephalon",
    "ventraldc": "ventral diencephalon",
}
PARTS = {"anterior hippocampus": ("hippocampus", ANTERIOR), "posterior hippocampus": ("hippocampus", POSTERIOR)}


def code_of(name: str) -> StructureCode:
    """Returns the code of a structure. One that is in no table here gets a code of a private scheme, by its name.

    Args:
        name: Its name, such as `"left hippocampus"` or `"Left-Thalamus-Proper"`.

    Example:
        >>> found = code_of("Left-Hippocampus")
        >>> found.type.value, found.modifier.meaning
        ('5366008', 'Left')
        >>> code_of("left something new").type.scheme
        '99RECALIB'
    """
    plain, modifier = plain_name(without_side(name)), SIDES.get(side(name) or "")
    if plain in PARTS:
        plain, part = PARTS[plain]
        modifier = modifier or part
    found = TYPES.get(SYNONYMS.get(plain, plain))
    if found is None:
        return StructureCode(ANATOMICAL_STRUCTURE, _private(plain), modifier)
    category = BODY_SUBSTANCE if found is CEREBROSPINAL_FLUID else ANATOMICAL_STRUCTURE
    return StructureCode(category, found, modifier)


def _private(name):
    """Returns a code that is the same for the same name, whichever network has the structure."""
    return Code(hashlib.sha256(name.encode()).hexdigest()[:12], PRIVATE, name[:LONGEST_MEANING])
