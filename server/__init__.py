"""Everything that runs at the coordinator; it sees sums."""
