"""Writers of data sets, by format."""
