# One image with all programs, and nothing else in it:
#   docker build --tag sluice .        or, where images cannot be pulled: cargo xtask image
# BUILDER is any image with Rust, a C compiler with a static libc, and CA certificates. PROFILE is cargo's: tests run `dev`.
ARG BUILDER=rust:1.95
FROM ${BUILDER} AS build
ARG PROFILE=release
WORKDIR /src
COPY . .
# Without any library of a system to load: what the linker takes from glibc is in the program. Naming the target keeps the
# flag from what runs during the build.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && export CARGO_TARGET_DIR=/build RUSTFLAGS="-C target-feature=+crt-static" \
 && cargo build --profile "$PROFILE" --locked --target "$target" -p front -p watcher -p wallet -p cli --bins \
 && mkdir -p /out/bin /out/etc/ssl/certs /out/etc/sluice \
 && cd "/build/$target/$(echo "$PROFILE" | sed 's/^dev$/debug/')" && cp front watcher wallet sluice /out/bin/ \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && echo 'sluice:x:65532:65532::/:/sbin/nologin' > /out/etc/passwd \
 && echo 'sluice:x:65532:' > /out/etc/group

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Sell an HTTP API per request through payment channels: front, watcher, wallet and sluice, the command." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out /
ENV PATH=/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /etc/sluice
USER 65532:65532
# A front's requests and TLS; health and metrics of fronts, watchers and wallets.
EXPOSE 8080 8443 9080 9081 9082
CMD ["front"]
