package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const pathByDefault = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// container is one container: made, then running, then exited, never running again (a restart makes a new one).
type container struct {
	id     string
	pod    *sandbox
	config *cri.ContainerConfig
	image  *image
	root   rootFolder
	log    string

	state                      cri.ContainerState
	created, started, finished int64
	code                       int32
	reason, message            string
	process                    *os.Process
	done                       chan struct{} // closed when the process is gone
}

func (r *runtimeServer) CreateContainer(_ context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	r.lock.Lock()
	pod := r.sandboxes[request.PodSandboxId]
	r.lock.Unlock()
	if pod == nil {
		return nil, status.Errorf(codes.NotFound, "failed to find sandbox id %q: not found", request.PodSandboxId)
	}
	from := r.images.find(request.Config.GetImage().GetImage())
	if from == nil {
		return nil, status.Errorf(codes.NotFound, "failed to resolve image %q: not found", request.Config.GetImage().GetImage())
	}
	made := &container{
		id: newID(), pod: pod, config: request.Config, image: from, done: make(chan struct{}),
		created: time.Now().UnixNano(), state: cri.ContainerState_CONTAINER_CREATED,
		log: filepath.Join(pod.config.LogDirectory, request.Config.LogPath),
	}
	var err error
	if made.root, err = newRootFolder(filepath.Join(r.root, "containers", made.id), from.folder, request.Config.Mounts); err != nil {
		return nil, fmt.Errorf("failed to create container root: %w", err)
	}
	r.lock.Lock()
	r.containers[made.id] = made
	r.lock.Unlock()
	return &cri.CreateContainerResponse{ContainerId: made.id}, nil
}

func (r *runtimeServer) StartContainer(_ context.Context, request *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	started, err := r.container(request.ContainerId)
	if err != nil {
		return nil, err
	}
	output, err := newLogFile(started.log)
	if err != nil {
		return nil, fmt.Errorf("failed to open the log: %w", err)
	}
	command, err := started.command(started.argv())
	if err == nil {
		command.Stdout, command.Stderr = output.stream("stdout"), output.stream("stderr")
		err = r.within(started.pod, command.Start)
	}
	now := time.Now().UnixNano()
	if err != nil {
		output.close()
		err = fmt.Errorf("failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: %w: unknown", err)
		r.lock.Lock()
		started.state, started.finished = cri.ContainerState_CONTAINER_EXITED, now
		started.code, started.reason, started.message = 128, "StartError", err.Error()
		r.lock.Unlock()
		close(started.done)
		return nil, status.Error(codes.Unknown, "failed to start container "+fmt.Sprintf("%q", started.id)+": "+err.Error())
	}
	r.lock.Lock()
	started.state, started.started, started.process = cri.ContainerState_CONTAINER_RUNNING, now, command.Process
	r.lock.Unlock()
	go r.await(started, command, output)
	return &cri.StartContainerResponse{}, nil
}

func (r *runtimeServer) await(ended *container, command *exec.Cmd, output *logFile) {
	_ = command.Wait() // its error says no more than the state below
	output.close()
	code, reason := int32(command.ProcessState.ExitCode()), "Error"
	if wait, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		code = 128 + int32(wait.Signal())
	}
	if code == 0 {
		reason = "Completed"
	}
	r.lock.Lock()
	ended.state, ended.finished = cri.ContainerState_CONTAINER_EXITED, time.Now().UnixNano()
	ended.code, ended.reason, ended.process = code, reason, nil
	r.lock.Unlock()
	close(ended.done)
}

// argv is the command line: a command of the pod replaces the image's entrypoint and arguments, arguments only the latter.
func (c *container) argv() []string {
	if len(c.config.Command) > 0 {
		return append(append([]string{}, c.config.Command...), c.config.Args...)
	}
	arguments := c.image.config.Cmd
	if len(c.config.Args) > 0 {
		arguments = c.config.Args
	}
	return append(append([]string{}, c.image.config.Entrypoint...), arguments...)
}

func (c *container) environment() []string {
	all := append([]string{pathByDefault, "HOSTNAME=" + c.pod.config.Hostname}, c.image.config.Env...)
	for _, entry := range c.config.Envs {
		all = append(all, entry.Key+"="+string(entry.Value))
	}
	return all
}

// command prepares a process inside the container's root, in a process namespace of its own: its children go with it.
func (c *container) command(argv []string) (*exec.Cmd, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command specified")
	}
	environment := c.environment()
	path, err := c.root.find(argv[0], environment)
	if err != nil {
		return nil, err
	}
	directory := c.config.WorkingDir
	if directory == "" {
		directory = c.image.config.WorkingDir
	}
	if directory == "" {
		directory = "/"
	}
	return &exec.Cmd{Path: path, Args: argv, Env: environment, Dir: directory, SysProcAttr: &syscall.SysProcAttr{
		Chroot: c.root.folder, Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
	}}, nil
}

func (r *runtimeServer) StopContainer(_ context.Context, request *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	if stopped, err := r.container(request.ContainerId); err == nil {
		r.stop(stopped, time.Duration(request.Timeout)*time.Second)
	}
	return &cri.StopContainerResponse{}, nil
}

// stop asks the process to end, kills it after the grace, and waits until it is gone.
func (r *runtimeServer) stop(stopped *container, grace time.Duration) {
	r.lock.Lock()
	process := stopped.process
	r.lock.Unlock()
	if process == nil {
		return
	}
	if grace > 0 {
		_ = process.Signal(stopSignal(stopped.image.config.StopSignal))
		select {
		case <-stopped.done:
			return
		case <-time.After(grace):
		}
	}
	_ = process.Kill()
	<-stopped.done
}

func stopSignal(name string) syscall.Signal {
	if name != "" && !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if known := unix.SignalNum(name); known != 0 {
		return known
	}
	return syscall.SIGTERM
}

func (r *runtimeServer) RemoveContainer(_ context.Context, request *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	gone, err := r.container(request.ContainerId)
	if err != nil {
		return &cri.RemoveContainerResponse{}, nil
	}
	r.stop(gone, 0)
	if err := gone.root.remove(); err != nil {
		return nil, err
	}
	r.lock.Lock()
	delete(r.containers, gone.id)
	r.lock.Unlock()
	return &cri.RemoveContainerResponse{}, nil
}

func (r *runtimeServer) ListContainers(_ context.Context, request *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	filter, response := request.Filter, &cri.ListContainersResponse{}
	for _, one := range r.containers {
		if filter.GetId() != "" && filter.Id != one.id || filter.GetState() != nil && filter.State.State != one.state ||
			filter.GetPodSandboxId() != "" && filter.PodSandboxId != one.pod.id || !matches(filter.GetLabelSelector(), one.config.Labels) {
			continue
		}
		full := one.status()
		response.Containers = append(response.Containers, &cri.Container{
			Id: one.id, PodSandboxId: one.pod.id, Metadata: full.Metadata, Image: full.Image, ImageRef: full.ImageRef, ImageId: full.ImageId,
			State: one.state, CreatedAt: one.created, Labels: full.Labels, Annotations: full.Annotations,
		})
	}
	return response, nil
}

func (r *runtimeServer) ContainerStatus(_ context.Context, request *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if one := r.containers[request.ContainerId]; one != nil {
		return &cri.ContainerStatusResponse{Status: one.status()}, nil
	}
	return nil, notFound(request.ContainerId)
}

func (c *container) status() *cri.ContainerStatus {
	return &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.Metadata, State: c.state, CreatedAt: c.created, StartedAt: c.started, FinishedAt: c.finished,
		ExitCode: c.code, Reason: c.reason, Message: c.message, Labels: c.config.Labels, Annotations: c.config.Annotations,
		Image: &cri.ImageSpec{Image: c.image.tag}, ImageRef: c.image.digest, ImageId: c.image.id, Mounts: c.config.Mounts, LogPath: c.log,
	}
}

func (r *runtimeServer) container(id string) (*container, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if one := r.containers[id]; one != nil {
		return one, nil
	}
	return nil, notFound(id)
}

func (r *runtimeServer) containersOf(pod string) []*container {
	r.lock.Lock()
	defer r.lock.Unlock()
	var inside []*container
	for _, one := range r.containers {
		if one.pod.id == pod {
			inside = append(inside, one)
		}
	}
	return inside
}

func (r *runtimeServer) killAll() {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, one := range r.containers {
		if one.process != nil {
			_ = one.process.Kill()
		}
	}
}

func notFound(id string) error {
	return status.Errorf(codes.NotFound, "an error occurred when try to find container %q: not found", id)
}
