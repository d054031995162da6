"""Makes a process of Dask a worker of this program: `dask worker ... --preload copying.distribution.preload`.

It gets a resource that names the source code it holds. Units ask for that, so that no worker with another one gets
any, whenever it comes.
"""

import logging
from typing import Any

from copying.distribution import copier  # noqa: F401 -- now, so that what is updated later is not mixed in
from copying.distribution.version import resource

logger = logging.getLogger("distributed.worker")


def dask_setup(worker: Any) -> None:  # noqa: ANN401 -- untyped
    """Called by Dask before the worker is registered. Raises ValueError for one that is not of use."""
    state = worker.state
    if state.nthreads != 1:
        raise ValueError(
            f"it has {state.nthreads} threads: start it with --nthreads 1, and several of them with --nworkers"
        )
    for resources in (state.total_resources, state.available_resources):
        resources[resource()] = 1.0
    logger.info(
        "%s, and may write to: %s", resource(), ", ".join(set(state.total_resources) - {resource()}) or "nobody"
    )
