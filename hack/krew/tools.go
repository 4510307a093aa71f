//go:build tools

// Package tools names what the tests build.
package tools

import _ "sigs.k8s.io/krew/cmd/krew"
