# Two stages: the packages are built and installed in the first; the second is the base with what came out of it.
# `make image` calls it with whatever builder there is.

# Any image with python3 (3.11 to 3.13), its venv module and ca-certificates.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
# For a schema registry: --build-arg REQUIREMENTS=requirements-registry.lock
ARG REQUIREMENTS=requirements.lock
ENV PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/tie-forwarder
WORKDIR /src
COPY ${REQUIREMENTS} deploy/image/build-requirements.lock ./
# Where packages come from, if not from PyPI, is told by two secrets, of which nothing stays:
# --secret id=pip.conf,src=FILE --secret id=ca-certificates,src=FILE
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    /build/bin/python -m pip install --no-compile --require-hashes --no-deps -r build-requirements.lock \
 && /build/bin/python -m pip --python /opt/tie-forwarder/bin/python install --no-compile --require-hashes --no-deps \
      -r ${REQUIREMENTS}
COPY pyproject.toml README.md LICENSE ./
COPY tie_forwarder ./tie_forwarder
COPY deploy/image/bytecode.py /build/
RUN /build/bin/python -m pip wheel --no-build-isolation --no-index --no-deps --wheel-dir /wheels . \
 && /build/bin/python -m pip --python /opt/tie-forwarder/bin/python install --no-compile --no-index --no-deps \
      /wheels/*.whl \
 && PYTHONPYCACHEPREFIX=/opt/tie-forwarder/bytecode PYTHONHASHSEED=0 /opt/tie-forwarder/bin/python /build/bytecode.py \
 && mkdir /state

FROM ${BASE}
ARG BASE BASE_DIGEST VERSION REVISION
LABEL org.opencontainers.image.title="tie-forwarder" \
      org.opencontainers.image.description="Forwards TIE events from an OpenDXL fabric to Apache Kafka, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
COPY --from=build /opt/tie-forwarder /opt/tie-forwarder
COPY --from=build --chown=10001:10001 /state /var/lib/tie-forwarder
# CREDENTIALS_DIRECTORY: a relative *_file of the configuration that is not beside it is looked up there, where Docker
# and Compose put secrets.
ENV PATH=/opt/tie-forwarder/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/tie-forwarder/bytecode \
    PYTHONUNBUFFERED=1 \
    CREDENTIALS_DIRECTORY=/run/secrets \
    TIE_FORWARDER_SPOOL__DIRECTORY=/var/lib/tie-forwarder/spool
USER 10001:10001
VOLUME /var/lib/tie-forwarder
EXPOSE 9469
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["tie-forwarder", "healthcheck"]
ENTRYPOINT ["tie-forwarder"]
CMD ["run"]
