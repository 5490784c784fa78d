"""The solutions: in the file of a lesson's name, one cell for each exercise, with the tag of the stub it replaces."""
