# One image for both servers and the worker: the versions that wrote a run are those that read it.
FROM python:3.11-slim-bookworm AS dependencies

# The CPU build of torch unless another index is named; empty takes what the default index has.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/etude
COPY docker/wheels wheels
COPY constraints.txt ./

# torch alone comes from its own index, without dependencies, so that no other package can.
RUN /opt/etude/bin/pip install --no-deps --find-links wheels -c constraints.txt \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch

COPY pyproject.toml docker/requirements.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > dependencies.txt \
    && /opt/etude/bin/pip install --find-links wheels -c constraints.txt -r dependencies.txt -r requirements.txt


# Etude alone, in a tree of its own: a changed source line costs a small layer, not that of torch again.
FROM dependencies AS etude
COPY README.md ./
COPY src src
COPY flows flows
COPY tasks tasks
RUN python -m pip --python /opt/etude/bin/python install --no-deps --prefix /layer .


FROM python:3.11-slim-bookworm

RUN groupadd --gid 10001 etude \
    && useradd --uid 10001 --gid etude --no-create-home --home-dir /srv/etude --shell /usr/sbin/nologin etude \
    && install -d -o etude -g etude /srv/etude /srv/mlflow /srv/prefect
COPY --from=dependencies /opt/etude /opt/etude
COPY --from=etude /layer /opt/etude
COPY docker/mlflow-server.sh docker/prefect-server.sh docker/worker.py docker/health.py docker/pool.json /opt/etude/stack/

# GIT_PYTHON_REFRESH: the image has no git, and MLflow need not warn of it.
ENV PATH=/opt/etude/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet
USER 10001:10001
WORKDIR /srv/etude
CMD ["etude", "--help"]
