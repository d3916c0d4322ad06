// Package oci speaks the part of the OCI distribution API that the test cluster needs: pull for the agent, push for the
// images tool. Registries on a loopback address are spoken to in plain HTTP, all others over TLS.
package oci

import (
	"fmt"
	"net"
	"strings"
)

// Reference names an image: HOST/REPOSITORY with a tag, a digest, or both (then the digest decides).
type Reference struct {
	Host, Repository, Tag, Digest string
}

// ParseReference reads HOST/REPOSITORY[:TAG][@DIGEST]; without either the tag is "latest".
func ParseReference(text string) (Reference, error) {
	rest, digest, _ := strings.Cut(text, "@")
	host, path, found := strings.Cut(rest, "/")
	if !found || path == "" {
		return Reference{}, fmt.Errorf("image %q names no registry", text)
	}
	reference := Reference{Host: host, Repository: path, Digest: digest}
	if colon := strings.LastIndex(path, ":"); colon > strings.LastIndex(path, "/") {
		reference.Repository, reference.Tag = path[:colon], path[colon+1:]
	}
	if reference.Tag == "" && digest == "" {
		reference.Tag = "latest"
	}
	return reference, nil
}

func (r Reference) String() string {
	text := r.Name()
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}

// Name is the reference without tag and digest.
func (r Reference) Name() string { return r.Host + "/" + r.Repository }

// version is what stands last in the URL of the manifest.
func (r Reference) version() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

func (r Reference) base() string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	scheme := "https"
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		scheme = "http"
	}
	return scheme + "://" + r.Host + "/v2/" + r.Repository
}
