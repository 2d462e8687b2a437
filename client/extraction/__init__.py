"""Images to features: PyRadiomics over regions, phases and filters."""

from client.extraction.inputs import phase_images, read_phases, second_reader
from client.extraction.names import feature_names
from client.extraction.patient import extract, one_thread
from client.extraction.phase_images import PhaseImages
from client.extraction.results import Extraction, RegionRecord, Row

__all__ = [
    "Extraction",
    "PhaseImages",
    "RegionRecord",
    "Row",
    "extract",
    "feature_names",
    "one_thread",
    "phase_images",
    "read_phases",
    "second_reader",
]
