# An image of one static program and the CA certificates. Build it with: docker build -t rescind .
# For a reproducible build, pin the base by its digest: --build-arg BASE=rust:1.95-slim-bookworm@sha256:…
ARG BASE=rust:1.95-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /rescind
COPY . .
# Cargo features, comma-separated: `otlp` adds the export of traces.
ARG FEATURES=
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/rescind/target \
    cp "$(image/build.sh)" /rescind.static

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /rescind.static /rescind
# The numeric user of the chart's pods. A name would need an /etc/passwd.
USER 65532:65532
ENTRYPOINT ["/rescind"]
CMD ["run"]
