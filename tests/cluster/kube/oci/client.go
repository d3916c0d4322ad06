package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"time"
)

// ErrNotFound is the registry's 404.
var ErrNotFound = errors.New("not found")

const manifestLimit = 4 << 20

// Client talks to registries, with basic authentication when Username is set.
type Client struct {
	Username, Password string
}

var transport = http.Client{Timeout: 60 * time.Second}

// Manifest gets the manifest that the reference names, and its digest: that of the index where an index was found, as
// container runtimes report it. The manifest itself is then the one for this machine.
func (c Client) Manifest(ctx context.Context, reference Reference) (Manifest, string, error) {
	manifest, digest, err := c.manifest(ctx, reference)
	if err != nil || len(manifest.Manifests) == 0 {
		return manifest, digest, err
	}
	for _, entry := range manifest.Manifests {
		if entry.Platform != nil && entry.Platform.OS == "linux" && entry.Platform.Architecture == runtime.GOARCH {
			reference.Digest = entry.Digest
			manifest, _, err = c.manifest(ctx, reference)
			return manifest, digest, err
		}
	}
	return Manifest{}, "", fmt.Errorf("no match for platform in manifest: %w", ErrNotFound)
}

func (c Client) manifest(ctx context.Context, reference Reference) (Manifest, string, error) {
	var manifest Manifest
	response, err := c.do(ctx, http.MethodGet, reference.base()+"/manifests/"+reference.version(), nil, http.Header{
		"Accept": {TypeManifest, TypeIndex, typeDockerManifest, typeDockerList},
	})
	if err != nil {
		return manifest, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, manifestLimit))
	if err != nil {
		return manifest, "", err
	}
	digest := DigestOf(body)
	if reference.Digest != "" && reference.Digest != digest {
		return manifest, "", fmt.Errorf("manifest has digest %s instead of %s", digest, reference.Digest)
	}
	return manifest, digest, json.Unmarshal(body, &manifest)
}

// Blob opens a blob. The caller closes it, and checks its digest where that matters.
func (c Client) Blob(ctx context.Context, reference Reference, digest string) (io.ReadCloser, error) {
	response, err := c.do(ctx, http.MethodGet, reference.base()+"/blobs/"+digest, nil, nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// PushBlob uploads a blob in one request, unless the repository has it.
func (c Client) PushBlob(ctx context.Context, reference Reference, content []byte) error {
	digest := DigestOf(content)
	if response, err := c.do(ctx, http.MethodHead, reference.base()+"/blobs/"+digest, nil, nil); err == nil {
		return response.Body.Close()
	}
	response, err := c.do(ctx, http.MethodPost, reference.base()+"/blobs/uploads/", nil, nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	location, err := response.Request.URL.Parse(response.Header.Get("Location"))
	if err != nil {
		return err
	}
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	response, err = c.do(ctx, http.MethodPut, location.String(), content, http.Header{"Content-Type": {"application/octet-stream"}})
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// PushManifest uploads a manifest under the reference's tag and gives its digest.
func (c Client) PushManifest(ctx context.Context, reference Reference, content []byte) (string, error) {
	response, err := c.do(ctx, http.MethodPut, reference.base()+"/manifests/"+reference.version(), content, http.Header{"Content-Type": {TypeManifest}})
	if err != nil {
		return "", err
	}
	return DigestOf(content), response.Body.Close()
}

func (c Client) do(ctx context.Context, method, address string, body []byte, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		request.Header[key] = values
	}
	if c.Username != "" {
		request.SetBasicAuth(c.Username, c.Password)
	}
	response, err := transport.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("failed to do request: %s %q: %w", method, address, err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, ErrNotFound
	}
	return nil, fmt.Errorf("unexpected status from %s request to %s: %s", method, address, response.Status)
}
