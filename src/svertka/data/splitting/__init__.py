"""Dividing a data set: parts, groups, and copies that must stay together."""
