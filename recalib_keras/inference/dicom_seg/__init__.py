"""Label maps as DICOM Segmentation objects, with the codes of their structures."""

from recalib_keras.inference.dicom_seg.codes import StructureCode, code_of
from recalib_keras.inference.dicom_seg.writing import check_series, import_highdicom, write_dicom_seg

__all__ = ["StructureCode", "check_series", "code_of", "import_highdicom", "write_dicom_seg"]
