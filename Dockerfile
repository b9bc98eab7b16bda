# The binary alone, on a base of glibc and CA certificates, as a user without a name.
#
#   docker build -t bailey .
#   docker run -p 9311:9311 -v bailey:/var/lib/bailey bailey                    # one process
#   docker run -p 9311:9311 -v ./api.toml:/etc/bailey.toml \
#       api --config /etc/bailey.toml --listen 0.0.0.0:9311
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package bailey-server && install -D target/release/bailey /out/bailey
# An empty folder to copy: the base has no shell to make one with.
RUN install -d -m 0700 /out/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/bailey /usr/bin/bailey
COPY --from=build --chown=nonroot:nonroot /out/data /var/lib/bailey
ENV BAILEY_DATA_DIR=/var/lib/bailey
VOLUME /var/lib/bailey
EXPOSE 9311
ENTRYPOINT ["/usr/bin/bailey"]
# On all addresses of the container: what reaches it is decided by what is published.
CMD ["serve", "--listen", "0.0.0.0:9311"]
