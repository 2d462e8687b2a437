"""Everything that touches a patient; it runs inside the hospital."""
