"""Synthetic hospitals, and a federation in one process."""
