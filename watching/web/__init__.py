"""The status page: HTTP, pages, JSON.

Begin with `site`, which says what each path shows.
"""
