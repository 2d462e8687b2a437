"""Patches: what a network sees of a patient's images, made once and kept in the hospital's store."""
