# syntax=docker/dockerfile:1
# The serving image: service/, features/ and rules/, without training/ and what only it needs.
# Models are trained elsewhere and come in through the volume (VAR/bundles).

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
RUN python -m venv /opt/touchstone
WORKDIR /src
COPY requirements-image.lock ./
RUN /opt/touchstone/bin/pip install --require-hashes --only-binary :all: -r requirements-image.lock
COPY pyproject.toml LICENSE ./
COPY service/ service/
COPY features/ features/
COPY rules/ rules/
RUN /opt/touchstone/bin/pip install --no-deps --no-build-isolation . \
    && /opt/touchstone/bin/python -m compileall -q /opt/touchstone/lib \
    && /opt/touchstone/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim-bookworm
# libgomp1: the OpenMP runtime that LightGBM loads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 touchstone \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/touchstone --no-create-home \
       --shell /usr/sbin/nologin touchstone \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/touchstone /var/lib/touchstone/signer
COPY --from=build /opt/touchstone /opt/touchstone
ENV PATH=/opt/touchstone/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TOUCHSTONE_VAR=/var/lib/touchstone \
    TOUCHSTONE_HTTP__HOST=0.0.0.0 \
    TOUCHSTONE_HTTP__PORT=8000
WORKDIR /var/lib/touchstone
VOLUME ["/var/lib/touchstone"]
USER 10001:10001
EXPOSE 8000
# SIGTERM drains: requests under way are answered, spool and servers are closed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['TOUCHSTONE_HTTP__PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["touchstone"]
CMD ["serve", "--workers", "2"]
