"""Text that may hold anything, for messages of one line. Pure."""


def printable(name: str) -> str:
    """The name as one line of plain text, for messages: control characters and stray bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
