//go:build tools

// Package tools names what the tests build.
package tools

import _ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
