"""Secure sums: hospitals send masked numbers, and only their total can be read.

After Bonawitz et al. 2017 (doi:10.1145/3133956.3133982). docs/secure-sums.md tells what is protected from whom.
The hospital's side is `participant.Participant`; the coordinator's are `set_up.SetUp` and `total.RoundTotal`.
Nothing in here opens a connection or a file.
"""
