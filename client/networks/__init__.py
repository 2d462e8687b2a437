"""Training and scoring of networks inside a hospital; these modules alone import torch here."""
