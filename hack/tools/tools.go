//go:build tools

// Package tools pins what the tests build from source: a real etcd, kube-apiserver and kubectl.
package tools

import (
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
