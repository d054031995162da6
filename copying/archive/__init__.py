"""Snapshots of databases as Parquet files, in a folder or an object store.

Begin with `layout` (which object is called what) and `manifest` (what a snapshot says of itself); `taking` makes
one.
"""
