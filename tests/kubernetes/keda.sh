#!/bin/bash
# Compiles KEDA from its Go module, and prints the folder with its images (*.tar) and its manifests (keda.yaml).
# The first time takes four minutes; then they are kept beside the cluster's programs, which must be there.
set -euo pipefail
CLUSTER=$(dirname "$(readlink -f "$0")")/two_nodes/cluster
MODULE=github.com/kedacore/keda/v2 VERSION=v2.20.2
OUT=${K8S_HERE:-$HOME/.cache/k8s-here}/keda-$VERSION
eval "$("$CLUSTER" env)"

image() { # PACKAGE IMAGE PROGRAM
  (cd "$WORK/source" && CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$WORK/$2/$3" "./cmd/$1")
  "$CLUSTER" image "localhost/$2:$VERSION" "$WORK/$2" "$OUT/$2.tar" "/$3"
}

if [[ ! -e $OUT/keda.yaml ]]; then
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  go mod download "$MODULE@$VERSION"
  cp -r "$(go env GOMODCACHE)/$MODULE@$VERSION" "$WORK/source"
  chmod -R u+w "$WORK/source" # compiled within its module, whose `replace` lines count only there
  mkdir -p "$OUT"
  image operator keda keda
  image adapter keda-metrics-apiserver keda-adapter
  image webhooks keda-admission-webhooks keda-admission-webhooks
  cat >"$WORK/kustomization.yaml" <<YAML
resources: [source/config/default]
patches:
  # These images name no user, and are on the nodes.
  - target: { kind: Deployment }
    patch: |
      - { op: add, path: /spec/template/spec/securityContext/runAsUser, value: 1000 }
      - { op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: Never }
      - { op: replace, path: /spec/template/spec/containers/0/readinessProbe/initialDelaySeconds, value: 2 }
YAML
  kubectl kustomize "$WORK" | sed -E "s|image: [^ ]*/kedacore/([a-z-]+):.*|image: localhost/\1:$VERSION|" >"$WORK/keda.yaml"
  mv "$WORK/keda.yaml" "$OUT"
fi
echo "$OUT"
