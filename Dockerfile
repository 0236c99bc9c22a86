# One static program and the certificates it trusts. Build: docker build -t rescind .
# For bytes that never change, name the base by digest: --build-arg BASE=rust:1.95-slim-bookworm@sha256:…
ARG BASE=rust:1.95-slim-bookworm

FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /rescind
COPY . .
# otlp: can send traces.
ARG FEATURES=
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/rescind/target \
    cp "$(image/build.sh)" /rescind.static

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /rescind.static /rescind
# The number that the chart's pods run with; it has no name, as there is no /etc/passwd.
USER 65532:65532
ENTRYPOINT ["/rescind"]
CMD ["run"]
