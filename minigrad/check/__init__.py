"""The command `minigrad check`: every operation, its derivative rules, and how exact they are.

What lives here: the table and the arguments to try each operation with, in the words that users have. What does not: the
check of one function against finite differences, which everybody can call (minigrad/debug/gradcheck.py).
"""
