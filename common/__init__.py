"""What hospitals and the coordinator must agree on, and nothing else."""
