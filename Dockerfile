# Two stages: the packages are built and installed in the first, the second holds them and nothing else.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
# For a schema registry: --build-arg REQUIREMENTS=requirements-registry.lock
ARG REQUIREMENTS=requirements.lock
WORKDIR /src
COPY ${REQUIREMENTS} pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/tie-forwarder \
 && /opt/tie-forwarder/bin/python -m pip install --no-cache-dir --require-hashes --no-deps -r ${REQUIREMENTS}
COPY tie_forwarder ./tie_forwarder
RUN /opt/tie-forwarder/bin/python -m pip install --no-cache-dir --no-deps .

FROM ${BASE}
LABEL org.opencontainers.image.title="tie-forwarder" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/tie-forwarder /opt/tie-forwarder
RUN mkdir -p /var/lib/tie-forwarder && chown 10001:10001 /var/lib/tie-forwarder
ENV PATH=/opt/tie-forwarder/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TIE_FORWARDER_SPOOL__DIRECTORY=/var/lib/tie-forwarder/spool
USER 10001:10001
VOLUME /var/lib/tie-forwarder
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["tie-forwarder", "healthcheck"]
ENTRYPOINT ["tie-forwarder"]
CMD ["run"]
