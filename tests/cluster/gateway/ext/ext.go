// Package ext is Traefik's own extension point, empty: its module is not part of Traefik's module.
package ext

// HTTP has no further fields.
type HTTP struct{}

// Router has no further fields.
type Router struct{}
