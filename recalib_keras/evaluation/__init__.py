"""How well a segmentation agrees with the ground truth: measures, reports, comparisons and figures."""

from recalib_keras.evaluation.cases import Case, evaluate, find_cases
from recalib_keras.evaluation.comparison import Difference, compare, in_all, write_comparison
from recalib_keras.evaluation.figures.bland_altman import bland_altman
from recalib_keras.evaluation.figures.boxplots import boxplots
from recalib_keras.evaluation.figures.gate_maps import gate_figure
from recalib_keras.evaluation.figures.overlay import OverlayStyle, overlay
from recalib_keras.evaluation.figures.panels import best_median_worst, panels
from recalib_keras.evaluation.figures.volume_scatter import volume_scatter
from recalib_keras.evaluation.measures import MEASURES, Measures, dice, jaccard, measure, measure_all
from recalib_keras.evaluation.report import Report, Row, Summary, summarize, write_summary
from recalib_keras.evaluation.report_folder import find_report, write_figures, write_tables
from recalib_keras.evaluation.structures import Structure, StructureLike, read_structures, unnamed_structures
from recalib_keras.evaluation.volumetry import StructureVolume, structure_volumes

__all__ = [
    "MEASURES",
    "Case",
    "Difference",
    "Measures",
    "OverlayStyle",
    "Report",
    "Row",
    "Structure",
    "StructureLike",
    "StructureVolume",
    "Summary",
    "best_median_worst",
    "bland_altman",
    "boxplots",
    "compare",
    "dice",
    "evaluate",
    "find_cases",
    "find_report",
    "gate_figure",
    "in_all",
    "jaccard",
    "measure",
    "measure_all",
    "overlay",
    "panels",
    "read_structures",
    "structure_volumes",
    "summarize",
    "unnamed_structures",
    "volume_scatter",
    "write_comparison",
    "write_figures",
    "write_summary",
    "write_tables",
]
