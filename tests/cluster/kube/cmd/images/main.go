// Command images makes images of one static program and pushes them to a registry, without a container engine. The same
// program and settings give the same bytes and so the same digest, anywhere and at any time.
//
//	images --program bin/app --registry 127.0.0.1:5000         all the variants of app, and pause; prints name and digest
//	images --program FILE --push HOST/NAME:TAG [KEY=VALUE…]    one image of that program with that environment
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"hms.test/kube/oci"
)

type variant struct {
	tag         string
	environment []string
}

// What each variant does wrong is told in the app's own documentation.
var variants = []variant{
	{"v1", []string{"VERSION=v1"}},
	{"v2", []string{"VERSION=v2"}},
	{"v3", []string{"VERSION=v3"}},
	{"bad", []string{"VERSION=bad", "EXIT_AT_START=cannot open /etc/app/config.toml: no such file"}},
	{"slow-start", []string{"VERSION=slow-start", "START_DELAY=5s"}},
	{"missing-env", []string{"VERSION=missing-env", "REQUIRED=REQUIRED_ENV"}},
	{"errors", []string{"VERSION=errors", "ERROR_RATE=0.05"}},
	{"slow-tail", []string{"VERSION=slow-tail", "TAIL_RATE=0.05", "TAIL_LATENCY=800ms"}},
}

func main() {
	program := flag.String("program", "", "static program to put into the image")
	registry := flag.String("registry", "", "registry for all the variants, HOST:PORT")
	push := flag.String("push", "", "push one image under this name")
	flag.Parse()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := run(ctx, *program, *registry, *push, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program, registry, push string, environment []string) error {
	layer, plain, err := layerOf(program)
	if err != nil {
		return err
	}
	entry := "/" + filepath.Base(program)
	if push != "" {
		return pushImage(ctx, push, layer, plain, oci.Config{Entrypoint: []string{entry}, Env: environment})
	}
	for _, each := range variants {
		if err := pushImage(ctx, registry+"/app:"+each.tag, layer, plain, oci.Config{Entrypoint: []string{entry}, Env: each.environment}); err != nil {
			return err
		}
	}
	return pushImage(ctx, registry+"/pause:1", layer, plain, oci.Config{Entrypoint: []string{entry, "pause"}})
}

// layerOf packs the program alone, without a time or an owner; it gives the zipped layer and the digest of the plain one.
func layerOf(program string) ([]byte, string, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, "", err
	}
	var plain, zipped bytes.Buffer
	archive := tar.NewWriter(&plain)
	header := &tar.Header{Name: filepath.Base(program), Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
	if err := archive.WriteHeader(header); err != nil {
		return nil, "", err
	}
	if _, err := archive.Write(content); err != nil {
		return nil, "", err
	}
	if err := archive.Close(); err != nil {
		return nil, "", err
	}
	packer, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		return nil, "", err
	}
	if _, err := packer.Write(plain.Bytes()); err != nil {
		return nil, "", err
	}
	if err := packer.Close(); err != nil {
		return nil, "", err
	}
	return zipped.Bytes(), oci.DigestOf(plain.Bytes()), nil
}

func pushImage(ctx context.Context, name string, layer []byte, plain string, config oci.Config) error {
	reference, err := oci.ParseReference(name)
	if err != nil {
		return err
	}
	described, err := json.Marshal(oci.Image{
		Architecture: runtime.GOARCH, OS: "linux", Config: config, RootFS: oci.RootFS{Type: "layers", DiffIDs: []string{plain}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(oci.Manifest{
		SchemaVersion: 2, MediaType: oci.TypeManifest,
		Config: oci.Descriptor{MediaType: oci.TypeConfig, Digest: oci.DigestOf(described), Size: int64(len(described))},
		Layers: []oci.Descriptor{{MediaType: oci.TypeLayer, Digest: oci.DigestOf(layer), Size: int64(len(layer))}},
	})
	if err != nil {
		return err
	}
	var client oci.Client
	for _, blob := range [][]byte{layer, described} {
		if err := client.PushBlob(ctx, reference, blob); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	digest, err := client.PushManifest(ctx, reference, manifest)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Println(name, digest)
	return nil
}
