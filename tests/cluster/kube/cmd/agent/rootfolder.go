package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// rootFolder is what a container sees as /: a copy of its image, with the pod's volumes and a few devices bound into it.
type rootFolder struct {
	folder string
	bound  []string
}

var devices = []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}

func newRootFolder(folder, image string, volumes []*cri.Mount) (rootFolder, error) {
	root := rootFolder{folder: folder}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return root, err
	}
	if err := os.CopyFS(folder, os.DirFS(image)); err != nil {
		return root, err
	}
	for _, device := range devices {
		volumes = append(volumes, &cri.Mount{HostPath: device, ContainerPath: device})
	}
	for _, volume := range volumes {
		if err := root.bind(volume); err != nil {
			_ = root.remove()
			return root, fmt.Errorf("mount %s: %w", volume.ContainerPath, err)
		}
	}
	return root, nil
}

func (r *rootFolder) bind(volume *cri.Mount) error {
	from, err := os.Stat(volume.HostPath)
	if err != nil {
		return err
	}
	// Through os.Root a link in the image cannot lead a mount out of the folder.
	root, err := os.OpenRoot(r.folder)
	if err != nil {
		return err
	}
	defer root.Close()
	inside := strings.TrimPrefix(filepath.Clean(volume.ContainerPath), "/")
	if from.IsDir() {
		err = root.MkdirAll(inside, 0o755)
	} else if err = root.MkdirAll(filepath.Dir(inside), 0o755); err == nil {
		var file *os.File
		if file, err = root.OpenFile(inside, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	target := filepath.Join(r.folder, inside)
	if err := unix.Mount(volume.HostPath, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	r.bound = append(r.bound, target)
	if volume.Readonly {
		var now unix.Statfs_t
		if err := unix.Statfs(target, &now); err != nil {
			return err
		}
		// In a user namespace the flags that are there already may not be dropped; their bits are the same in both calls.
		kept := uintptr(now.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
		return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|kept, "")
	}
	return nil
}

// remove deletes the folder once nothing is bound into it any more; a volume's own files are never deleted.
func (r *rootFolder) remove() error {
	for len(r.bound) > 0 {
		last := r.bound[len(r.bound)-1]
		if err := unix.Unmount(last, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", last, err)
		}
		r.bound = r.bound[:len(r.bound)-1]
	}
	return os.RemoveAll(r.folder)
}

// find looks a program up as the container's own shell would; the path is as seen inside.
func (r *rootFolder) find(program string, environment []string) (string, error) {
	if strings.Contains(program, "/") {
		if _, err := os.Lstat(filepath.Join(r.folder, program)); err != nil {
			return "", fmt.Errorf("exec: %q: stat %s: no such file or directory", program, program)
		}
		return program, nil
	}
	var path string
	for _, entry := range environment {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			path = value
		}
	}
	for _, folder := range filepath.SplitList(path) {
		candidate := filepath.Join(folder, program)
		if found, err := os.Lstat(filepath.Join(r.folder, candidate)); err == nil && !found.IsDir() {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", program)
}
