"""What people look at: the page of a scan, and the page of a cohort. Each is one HTML file that needs no internet."""

from recalib_keras.reports.cohort_page import cohort_page
from recalib_keras.reports.folder import PageOutcome, write_pages
from recalib_keras.reports.reporter import ScanReporter, page_path, thumbnail_path
from recalib_keras.reports.scan_page import scan_page

__all__ = ["PageOutcome", "ScanReporter", "cohort_page", "page_path", "scan_page", "thumbnail_path", "write_pages"]
