# The server in one image: built with the dist profile, run as a user who owns nothing but /var/lib/countersign.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake perl make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --locked --profile dist --bin countersign

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/countersign --create-home countersign \
 && install -d -o countersign -g countersign -m 0700 /var/lib/countersign/data /var/lib/countersign/keys
COPY --from=build /build/target/dist/countersign /usr/local/bin/countersign
USER countersign
WORKDIR /etc/countersign
VOLUME ["/var/lib/countersign/data", "/var/lib/countersign/keys"]
EXPOSE 8693 8694
ENTRYPOINT ["countersign"]
CMD ["serve", "--config", "/etc/countersign/conf/countersign.toml", "--data", "/var/lib/countersign/data"]
