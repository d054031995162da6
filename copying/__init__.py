"""What a run does: what to copy, from where to where, in which order. Its face is `backup.py`.

Begin with `planner`, which makes a `task.Copy` of each measurement; `reading` and `narrowing` carry it out.
"""
