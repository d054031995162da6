"""Measurements copied by the workers of a Dask cluster, while the daemon plans and concludes.

Begin with `unit`, which says what goes between them; `cluster` is the daemon's side, `copier` a worker's, and
`lease` says why two of them that write the same measurement leave no hole.
"""
