"""Images to features: PyRadiomics over regions, phases and filters."""

from client.extraction.patient import Extraction, PhaseImages, RegionRecord, Row, extract, one_thread

__all__ = ["Extraction", "PhaseImages", "RegionRecord", "Row", "extract", "one_thread"]
