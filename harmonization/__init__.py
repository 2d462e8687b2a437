"""ComBat across hospitals without pooling: sums at the hospital, a fit of totals, the rest at the hospital.

The walk: ``transform`` → ``sums.combat_sums`` (hospital) → total → ``fit.fit`` (coordinator) →
``apply.estimate`` and ``apply.harmonise`` (hospital). Everything here is
arrays in, arrays out; nothing knows of a network.
"""
