"""What brings a backup back: from the destination of a job to its source, or to any server.

Begin with `survey`, which looks at both sides, and `plan`, which is what it finds; `refilling` does the writing.
"""
