"""The lessons: NN_name.py, in jupytext's percent format; their solutions and checks in the folders of these names.

They are a package only so that an installed minigrad brings them along, as minigrad.tutorials; nobody imports them.
"""
