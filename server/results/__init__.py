"""What a study run found, as results.json says it: a part of it a file (docs/results.md describes every key)."""
