"""The rules of the gate, one kind a file; client/gate.py says in which order they are asked."""
