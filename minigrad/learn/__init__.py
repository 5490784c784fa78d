"""The lessons and their checks: what tutorials/*.py import, and the command `minigrad learn`.

What lives here: how a lesson is read and run (lesson.py, run.py), how an exercise is judged (exercise.py, compare.py),
where a learner's own copies and progress are kept (progress.py), and the command (command.py). What does not: the
lessons themselves, their solutions and their checks, which are in the folder tutorials/.
"""

from .exercise import Exercise, Report, check
from .figures import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, figure, show

__all__ = ["BLUE", "GRAY", "GREEN", "ORANGE", "PURPLE", "RED", "Exercise", "Report", "check", "figure", "show"]
