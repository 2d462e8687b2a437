"""Every way to start a federation."""
