# The service as an image. `docker compose up` builds it; docs/docker.md says how it is used.

FROM python:3.11.14-slim-bookworm AS build
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
RUN python -m pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/trd-careplan/bin/python install --no-deps --no-index dist/*.whl \
    && /opt/trd-careplan/bin/trd-careplan mappings check

FROM python:3.11.14-slim-bookworm
RUN python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
    && groupadd --system --gid 10001 trd \
    && useradd --system --uid 10001 --gid trd --no-create-home --home-dir /var/lib/trd-careplan --shell /usr/sbin/nologin trd \
    && install -d -o trd -g trd -m 0700 /var/lib/trd-careplan
COPY --from=build /opt/trd-careplan /opt/trd-careplan
COPY docker/probe.py /opt/trd-careplan/probe.py
COPY docker/trd-careplan.sh /usr/local/bin/trd-careplan
RUN chmod 0755 /usr/local/bin/trd-careplan
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Others reach a container only through its own address. Without its secrets the service refuses to start so.
ENV TRD_HOST=0.0.0.0
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# Where the SQLite queue is without TRD_DATABASE_URL; nothing else is written outside /tmp.
WORKDIR /var/lib/trd-careplan
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "/opt/trd-careplan/probe.py", "/health/live"]
ENTRYPOINT ["trd-careplan"]
CMD ["serve"]
