"""The lessons, run as learners see them, solved, and with every mistake that is known."""
