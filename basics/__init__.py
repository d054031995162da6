"""What knows nothing of backups: times and durations, names and texts for people, processes, stopping.

Begin with `times` and `spans`: every time in this program is one of theirs.
"""
