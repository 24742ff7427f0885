"""Maps of a scan beside its labels: the probability of each structure, entropy and mutual information."""

from recalib_keras.inference.maps.making import MapRequest
from recalib_keras.inference.maps.scan_map import ENTROPY, MUTUAL_INFORMATION, PROBABILITIES, ScanMap

__all__ = ["ENTROPY", "MUTUAL_INFORMATION", "PROBABILITIES", "MapRequest", "ScanMap"]
