"""Patients in: reading a hospital's own files, checking them against the study, and choosing the cohort."""
