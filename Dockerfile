# One image for every process: worker, beat, Flower, exporter, RQ worker. `docker build -t smart-rag-tasks .`

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# No pip in the virtual environment: nothing installs anything in a running container.
RUN python3 -m venv --without-pip /venv && python3 -m venv /builder
COPY requirements/image.txt requirements/build.txt requirements/
RUN python3 -m pip --python /venv/bin/python install -q --require-hashes -r requirements/image.txt \
 && find /venv -name tests -type d -prune -exec rm -r {} + \
 && /builder/bin/pip install -q --require-hashes -r requirements/build.txt
# The dependencies above change seldom, what follows often: a rebuild takes seconds.
COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY smart_rag_tasks smart_rag_tasks
RUN /builder/bin/pip wheel -q --no-deps --no-build-isolation -w /wheels . \
 && python3 -m pip --python /venv/bin/python install -q --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim-bookworm
# A number, not a name: it is the same on the volumes of every host.
RUN groupadd --gid 10001 smart-rag && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data smart-rag \
 && mkdir /data && chown 10001:10001 /data && chmod 700 /data
COPY --from=build /venv /venv
# REMAP_SIGTERM: what `docker stop` sends begins a soft shutdown. Set later, in Python, it has no effect.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 REMAP_SIGTERM=SIGQUIT SMART_RAG_HOME=/data
WORKDIR /data
USER 10001:10001
VOLUME /data
# For a worker, which is what the image runs unless told otherwise; docker-compose.yml has one for each process.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s \
  CMD ["smart-rag-tasks", "monitor", "health", "--live", "--timeout", "5"]
CMD ["celery", "-A", "smart_rag_tasks", "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
