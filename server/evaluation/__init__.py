"""How well a model predicts, from sums and histograms."""
