"""What there is: one file a family, in plain values that import no torch. Each has ``NETS``."""
