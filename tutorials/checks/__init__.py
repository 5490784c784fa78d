"""The checks: in the file of a lesson's name, the reference, the cases and the known mistakes of each exercise."""
