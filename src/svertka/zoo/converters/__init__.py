"""Foreign weights that become ours by more than new names: one file a family, ``convert_<source>``."""
