"""What a database has besides points, saved beside its copy: policies, continuous queries, users, grants.

Begin with `saving`, which each run calls, and `restoring`, which puts it back; `tokens` renames in a query's text.
"""
