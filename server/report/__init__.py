"""The report and its figures: results.json in, one self-contained HTML file out."""
