"""Looks for restores that are not complete, by their markers: `main.py restore` is a process of its own."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from copying.restore.marker import Marker, in_folder
from watching.events import RestoreState, Restoring
from watching.state import JobState


def restores_news(jobs: Mapping[str, JobState]) -> Iterator[Restoring]:
    """The restores of each job of which others are known than there are."""
    folders = {job.markers for job in jobs.values() if job.markers}
    found = {folder: list(in_folder(Path(folder))) for folder in folders}
    for job in jobs.values():
        restores = tuple(_state(marker) for marker in found.get(job.markers, ()) if marker.job == job.name)
        if restores != job.restores:
            yield Restoring(job.name, time.time_ns(), restores)


def _state(marker: Marker) -> RestoreState:
    return RestoreState(
        marker.target, marker.databases, marker.begun, marker.written, marker.values, is_running=marker.is_running
    )
