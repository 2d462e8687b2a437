"""Images of synthetic patients: CT in two phases and ultrasound, which carry the latent factors of their patients."""
