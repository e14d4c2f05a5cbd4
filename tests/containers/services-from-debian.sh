#!/bin/sh
# Makes one image with the other programs of deploy/compose.yaml, for where no image registry can be reached: HAProxy, coturn
# and Prometheus from Debian packages, and Valkey from the Python package, because Debian 12's Redis is too old.
#   sh tests/containers/services-from-debian.sh IMAGE VALKEY_SERVER
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
export VALKEY_SERVER="$2" SOURCE_DATE_EPOCH=0
mmdebstrap --quiet --variant=essential --include=haproxy,redis-tools,coturn,prometheus \
    --customize-hook='cp "$VALKEY_SERVER" "$1/usr/bin/valkey-server"; ln -s redis-cli "$1/usr/bin/valkey-cli"; ln -s valkey-server "$1/usr/bin/valkey-sentinel"' \
    --customize-hook='mkdir "$1/prometheus"; chown 65534:65534 "$1/prometheus"' \
    bookworm "$work/services.tar" /etc/apt/sources.list.d/debian.sources
podman import --quiet "$work/services.tar" "$1"
