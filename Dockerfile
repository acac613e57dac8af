# The one image of this project. `docker compose up` builds it; docs/docker.md says how it is used.

# Another base: --build-arg PYTHON_IMAGE=... It needs Python 3.11 with pip as `python`, a shell and useradd.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/runtime.txt docker/build.txt ./
# Only wheels: nothing is compiled, so the same pins give the same image. The environment gets no pip of its own.
RUN python -m venv --without-pip /opt/trd-careplan \
    && python -m pip --python /opt/trd-careplan/bin/python install --no-deps --require-hashes --only-binary :all: -r runtime.txt \
    && python -m pip install --no-deps --require-hashes --only-binary :all: -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY mappings mappings
COPY fixtures fixtures
COPY docker/databases.py docker/generate-secrets.sh docker/probe.py docker/trd-careplan.sh docker/
# Line ends and modes are those written here, whatever the checkout has: the lists are compared with their digests, and
# under another umask nobody but root could read the files.
RUN find . -type f -exec sed -i 's/\r$//' {} + \
    && chmod -R u=rwX,go=rX . \
    && python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/trd-careplan/bin/python install --no-deps --no-index dist/*.whl \
    && install -m 0644 docker/databases.py docker/probe.py /opt/trd-careplan/ \
    && install -m 0755 docker/generate-secrets.sh docker/trd-careplan.sh /opt/trd-careplan/ \
    && /opt/trd-careplan/bin/trd-careplan mappings check

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="trd-careplan" \
    org.opencontainers.image.description="From a FHIR record to a treatment-resistance assessment and an esketamine care plan proposal" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# An orchestrator may run the image under any user id, with the group 0: the group may write what the user may.
RUN python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
    && useradd --system --uid 10001 --gid 0 --no-create-home --home-dir /var/lib/trd-careplan --shell /usr/sbin/nologin trd \
    && install -d -o trd -g 0 -m 0771 /var/lib/trd-careplan \
    && install -d -o trd -g 0 -m 0770 /secrets/postgres /secrets/hapi /secrets/service \
    && ln -s /opt/trd-careplan/trd-careplan.sh /usr/local/bin/trd-careplan
COPY --from=build /opt/trd-careplan /opt/trd-careplan
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Others reach a container only through its own address. Without its secrets the service refuses to start so.
ENV TRD_HOST=0.0.0.0
# By number, so that an orchestrator can see that it is not root.
USER 10001:0
# Where the SQLite queue is without TRD_DATABASE_URL; nothing else is written outside /tmp.
WORKDIR /var/lib/trd-careplan
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "/opt/trd-careplan/probe.py", "/health/live"]
ENTRYPOINT ["trd-careplan"]
CMD ["serve"]
