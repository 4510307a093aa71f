#!/bin/sh
# Prints the helm for the tests: $HELM where it is set, else the pinned module of hack/helm built from source, kept in the
# user's cache and keyed by what it is built from.
set -eu
if [ -n "${HELM:-}" ]; then
  echo "$HELM"
  exit 0
fi
cd "$(dirname "$0")/helm"
version=$(sed -n 's/^\thelm.sh\/helm\/v3 \(v[0-9.]*\).*/\1/p' go.mod)
kube=$(sed -n 's/^\tk8s.io\/client-go v0\.\([0-9]*\)\..*/\1/p' go.mod)
key=$(cat go.mod go.sum "../$(basename "$0")" | sha256sum | cut -c1-12)
home=${XDG_CACHE_HOME:-$HOME/.cache}/deeprt/helm-$version-$key
if [ ! -x "$home/helm" ]; then
  command -v go >/dev/null || { echo "the tests of the chart need helm: install Go to have it built, or set HELM to one" >&2; exit 1; }
  echo "building helm $version into $home (a minute or two, once)" >&2
  mkdir -p "$home"
  set --
  for package in pkg/chartutil pkg/lint/rules; do
    set -- "$@" "-X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=$kube"
  done
  CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$version $*" -o "$home/helm.part" helm.sh/helm/v3/cmd/helm >&2
  mv "$home/helm.part" "$home/helm"
fi
echo "$home/helm"
