"""Processes: one worker for each job, and what keeps them. Its face is `scheduler.py`.

Begin with `supervisor`.
"""
