#!/bin/sh
# Makes the two base images of the Dockerfile from Debian 12 packages, for where no image registry can be reached:
# localhost/antiphon-build-base (Python, pip, strip) and localhost/antiphon-base (Python alone, no shell).
#   sh deploy/image/base-from-debian.sh
#   make image ENGINE=podman BASE=localhost/antiphon-base BUILD_BASE=localhost/antiphon-build-base
set -eu
sh "$(dirname "$0")/../debian-packages.sh" podman runc mmdebstrap ca-certificates
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# The packages are unpacked, and nothing is configured, as in distroless images: these are the libraries that Python's
# standard library and the wheels of requirements.lock need.
mkdir -p "$work/packages" "$work/tree/bin" "$work/tree/tmp" "$work/tree/etc/ssl/certs"
(cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root base-files ca-certificates libbz2-1.0 libc6 \
    libcrypt1 libexpat1 libffi8 libgcc-s1 libgomp1 liblzma5 libpython3.11-minimal libpython3.11-stdlib libsqlite3-0 \
    libssl3 libstdc++6 libuuid1 media-types netbase python3.11-minimal tzdata zlib1g)
for package in "$work"/packages/*.deb; do dpkg-deb --extract "$package" "$work/tree"; done
cd "$work/tree"
ln -s python3.11 usr/bin/python3
cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
echo 'root:x:0:0:root:/root:/sbin/nologin' >etc/passwd
echo 'root:x:0:' >etc/group
chmod 1777 tmp
rm -rf usr/share/man usr/share/lintian usr/sbin/update-ca-certificates
find usr/share/doc -type f ! -name copyright -delete
tar --create --file "$work/base.tar" --sort=name --mtime=@0 .

# With the certificates of this machine, in case a proxy stands between it and the package index
SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --variant=essential \
    --include=python3-pip,python3-venv,binutils,ca-certificates \
    --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"' \
    bookworm "$work/build.tar" /etc/apt/sources.list.d/debian.sources

podman import --quiet "$work/base.tar" localhost/antiphon-base
podman import --quiet "$work/build.tar" localhost/antiphon-build-base
podman images --format '{{.Repository}} {{.Size}}' | grep localhost/antiphon-
