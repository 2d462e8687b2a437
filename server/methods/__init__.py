"""One method a file; straight-line code against `Federation.ask`."""
