#!/bin/sh
# Prints the files of those CRDs of other projects that the chart makes objects of, one a line: from Go's module cache, where they
# come with the modules pinned here.
set -eu
command -v go >/dev/null || { echo "the tests of the chart need the CRDs of prometheus-operator, cert-manager and OpenShift: install Go to have them brought" >&2; exit 1; }
# bring MODULE@VERSION DIGEST FILE...
bring() {
  module=$1 digest=$2
  shift 2
  brought=$(cd / && GOFLAGS=-mod=mod go mod download -json "$module") || { echo "$brought" >&2; exit 1; }
  case $brought in *"\"Sum\": \"$digest\""*) ;; *) echo "$module has not the recorded digest $digest: $brought" >&2; exit 1 ;; esac
  dir=$(echo "$brought" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  for file; do
    [ -f "$dir/$file" ] || { echo "$module has no $file" >&2; exit 1; }
    echo "$dir/$file"
  done
}
bring github.com/prometheus-operator/prometheus-operator@v0.92.0 h1:tAbsod3+9sQsxDeAvLP27dAe9terToht5M+YdDwLGP0= \
  example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml \
  example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
bring github.com/cert-manager/cert-manager@v1.21.2 h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68= \
  deploy/crds/cert-manager.io_certificates.yaml
bring github.com/openshift/api@v0.0.0-20240124164020-e2ce40831f2e h1:cxgCNo/R769CO23AK5TCh45H9SMUGZ8RukiF2/Qif3o= \
  security/v1/0000_03_security-openshift_01_scc.crd.yaml
