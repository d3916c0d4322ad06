package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"hms.test/kube/oci"
)

// imageStore is the CRI's image service: what was pulled from a registry, unpacked, under the digest of its manifest.
type imageStore struct {
	cri.UnimplementedImageServiceServer
	root string

	unpacking sync.Mutex // one unpacks at a time

	lock  sync.Mutex
	names map[string]*image // by tag, by digest and by id
}

type image struct {
	id     string // digest of its configuration
	digest string // NAME@DIGEST
	tag    string // NAME:TAG, or NAME@DIGEST when pulled by digest
	size   uint64
	config oci.Config
	folder string
}

func newImageStore(root string) (*imageStore, error) {
	return &imageStore{root: root, names: map[string]*image{}}, os.MkdirAll(filepath.Join(root, "images"), 0o755)
}

func (s *imageStore) find(name string) *image {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.names[name]
}

func (s *imageStore) PullImage(ctx context.Context, request *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	name := request.GetImage().GetImage()
	pulled, err := s.pull(ctx, name, oci.Client{Username: request.GetAuth().GetUsername(), Password: request.GetAuth().GetPassword()})
	if err != nil {
		code := codes.Unknown
		if errors.Is(err, oci.ErrNotFound) {
			code = codes.NotFound
		}
		return nil, status.Errorf(code, "failed to pull and unpack image %q: %v", name, err)
	}
	return &cri.PullImageResponse{ImageRef: pulled.id}, nil
}

func (s *imageStore) pull(ctx context.Context, name string, registry oci.Client) (*image, error) {
	reference, err := oci.ParseReference(name)
	if err != nil {
		return nil, err
	}
	manifest, digest, err := registry.Manifest(ctx, reference)
	if errors.Is(err, oci.ErrNotFound) {
		return nil, fmt.Errorf("failed to resolve reference %q: %s: %w", name, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to resolve reference %q: %w", name, err)
	}
	made := &image{id: manifest.Config.Digest, digest: reference.Name() + "@" + digest, tag: name, folder: filepath.Join(s.root, "images", strings.TrimPrefix(digest, "sha256:"))}
	content, err := blob(ctx, registry, reference, manifest.Config.Digest)
	if err != nil {
		return nil, err
	}
	var described oci.Image
	if err := json.Unmarshal(content, &described); err != nil {
		return nil, err
	}
	made.config = described.Config
	for _, layer := range manifest.Layers {
		made.size += uint64(layer.Size)
	}
	if err := s.unpackOnce(ctx, registry, reference, manifest.Layers, made.folder); err != nil {
		return nil, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.names[name], s.names[made.digest], s.names[made.id] = made, made, made
	return made, nil
}

func blob(ctx context.Context, registry oci.Client, reference oci.Reference, digest string) ([]byte, error) {
	body, err := registry.Blob(ctx, reference, digest)
	if err != nil {
		return nil, fmt.Errorf("failed to copy %s: %w", digest, err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err == nil && oci.DigestOf(content) != digest {
		err = fmt.Errorf("unexpected digest instead of %s", digest)
	}
	return content, err
}

// unpackOnce fills a folder aside and renames it when it is whole, unless it is there.
func (s *imageStore) unpackOnce(ctx context.Context, registry oci.Client, reference oci.Reference, layers []oci.Descriptor, folder string) error {
	s.unpacking.Lock()
	defer s.unpacking.Unlock()
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	aside := folder + ".partial"
	if err := errors.Join(os.RemoveAll(aside), os.Mkdir(aside, 0o755)); err != nil {
		return err
	}
	root, err := os.OpenRoot(aside)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, layer := range layers {
		body, err := registry.Blob(ctx, reference, layer.Digest)
		if err != nil {
			return fmt.Errorf("failed to copy %s: %w", layer.Digest, err)
		}
		sum := sha256.New()
		err = unpack(io.TeeReader(body, sum), root)
		_ = body.Close()
		if err != nil {
			return fmt.Errorf("failed to extract layer %s: %w", layer.Digest, err)
		}
		if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != layer.Digest {
			return fmt.Errorf("layer has digest %s instead of %s", got, layer.Digest)
		}
	}
	return os.Rename(aside, folder)
}

// unpack lays one layer, plain or gzipped, over what is there.
func unpack(layer io.Reader, root *os.Root) error {
	buffered := bufio.NewReader(layer)
	var plain io.Reader = buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return err
		}
		plain = unzipped
	}
	archive := tar.NewReader(plain)
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, buffered) // the digest covers the last byte too
			return err
		}
		if err != nil {
			return err
		}
		if err := lay(archive, entry, root); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
}

func lay(content io.Reader, entry *tar.Header, root *os.Root) error {
	name := strings.TrimPrefix(path.Clean("/"+entry.Name), "/")
	if name == "" {
		return nil
	}
	folder, file := path.Split(name)
	folder = path.Clean(folder)
	if file == ".wh..wh..opq" {
		return errors.Join(root.RemoveAll(folder), root.MkdirAll(folder, 0o755))
	}
	if hidden, found := strings.CutPrefix(file, ".wh."); found {
		return root.RemoveAll(path.Join(folder, hidden))
	}
	if err := root.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	mode := os.FileMode(entry.Mode) & os.ModePerm
	if entry.Typeflag == tar.TypeDir {
		if err := root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		return root.Chmod(name, mode|0o700)
	}
	if err := root.RemoveAll(name); err != nil {
		return err
	}
	switch entry.Typeflag {
	case tar.TypeSymlink:
		return root.Symlink(entry.Linkname, name)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(path.Clean("/"+entry.Linkname), "/"), name)
	case tar.TypeReg:
		made, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(made, content)
		return errors.Join(err, made.Chmod(mode), made.Close())
	default: // devices and pipes, which only root could make
		return nil
	}
}

func (s *imageStore) ImageStatus(_ context.Context, request *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	if found := s.find(request.GetImage().GetImage()); found != nil {
		return &cri.ImageStatusResponse{Image: found.describe()}, nil
	}
	return &cri.ImageStatusResponse{}, nil
}

func (s *imageStore) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	response := &cri.ListImagesResponse{}
	for name, known := range s.names {
		if name == known.id {
			response.Images = append(response.Images, known.describe())
		}
	}
	return response, nil
}

func (i *image) describe() *cri.Image {
	described := &cri.Image{Id: i.id, RepoDigests: []string{i.digest}, Size: i.size}
	if i.tag != i.digest {
		described.RepoTags = []string{i.tag}
	}
	return described
}

func (s *imageStore) RemoveImage(_ context.Context, request *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if gone := s.names[request.GetImage().GetImage()]; gone != nil {
		for name, known := range s.names {
			if known.id == gone.id {
				delete(s.names, name)
			}
		}
	}
	return &cri.RemoveImageResponse{}, nil
}

func (s *imageStore) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.root, &disk); err != nil {
		return nil, err
	}
	usage := []*cri.FilesystemUsage{{
		Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: s.root},
		UsedBytes: &cri.UInt64Value{Value: 1}, InodesUsed: &cri.UInt64Value{Value: 1},
	}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}
