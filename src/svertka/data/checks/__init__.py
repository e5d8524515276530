"""What can be wrong with a data set, one family of findings a file."""
