//go:build tools

// Package gateway pins the modules that Traefik is built from. Traefik is a program, so nothing here is compiled.
package gateway

import _ "github.com/traefik/traefik/v3/cmd/traefik"
