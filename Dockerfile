# Another base has to be a Debian or Ubuntu with Python 3.11 or newer as `python`, venv and pip.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS builder
# Only needed behind a mirror: docker build --build-arg PIP_INDEX_URL=https://mirror.example/simple
ARG PIP_INDEX_URL
WORKDIR /app
COPY requirements.txt ./
COPY copying/archive/requirements.txt copying/archive/
# Tests inside the packages are of no use here. The image is read-only at run time, so all is compiled now, without
# checks of time stamps, which copying from one stage to the next could change.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile -r copying/archive/requirements.txt \
    && find /opt/venv \( -type d \( -name tests -o -path '*/pyarrow/include' \) -o -path '*/pyarrow/*flight*.so*' \) \
        -prune -exec rm -rf {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv
COPY . ./
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="influxdb-backup" \
      org.opencontainers.image.description="Exact backups of InfluxDB 1.x databases to another InfluxDB"
# /dev/shm is writable even where nothing else is.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BACKUP_HEALTH_FILE=/dev/shm/backup-health \
    BACKUP_HTTP=0.0.0.0:8186 \
    BACKUP_QUARANTINE_DIR=/logs/quarantine \
    BACKUP_STATE_DIR=/logs/.state
# A fixed number, so that the owner of a log folder on the host can be set before the first start.
RUN groupadd --gid 10001 influxdb-backup \
    && useradd --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin influxdb-backup \
    && mkdir /config /logs \
    && chown 10001:10001 /logs
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
WORKDIR /app
USER 10001:10001
# Jobs are mounted at /config, read-only. It is no VOLUME, so that a missing mount is an empty folder and an error.
VOLUME /logs
# The status page, for whoever publishes the port.
EXPOSE 8186
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "main.py", "health"]
ENTRYPOINT ["python", "main.py"]
