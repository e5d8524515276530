"""The record of every task: one file each. What a record names is imported when it is asked for, so that these need
nothing of ours."""
