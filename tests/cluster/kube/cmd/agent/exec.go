package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// run runs one more process in a running container and gives its exit code.
func (r *runtimeServer) run(ctx context.Context, id string, argv []string, in io.Reader, out, problems io.Writer) (int, error) {
	inside, err := r.container(id)
	if err != nil {
		return 0, err
	}
	r.lock.Lock()
	process := inside.process
	r.lock.Unlock()
	if process == nil {
		return 0, status.Errorf(codes.Unknown, "container is in CONTAINER_EXITED state")
	}
	command, err := inside.command(argv)
	if err != nil {
		return 0, fmt.Errorf("failed to exec in container: failed to start exec: OCI runtime exec failed: %w: unknown", err)
	}
	command.SysProcAttr.Cloneflags = 0
	command.Stdin, command.Stdout, command.Stderr = in, out, problems
	err = r.within(inside.pod, func() error {
		namespace, err := unix.Open(fmt.Sprintf("/proc/%d/ns/pid", process.Pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(namespace)
		if err := unix.Setns(namespace, unix.CLONE_NEWPID); err != nil {
			return err
		}
		return command.Start()
	})
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	err = command.Wait()
	var exited *exec.ExitError
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if errors.As(err, &exited) {
		return exited.ExitCode(), nil
	}
	return 0, err
}

func (r *runtimeServer) ExecSync(ctx context.Context, request *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	if request.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(request.Timeout)*time.Second)
		defer stop()
	}
	var out, problems bytes.Buffer
	code, err := r.run(ctx, request.ContainerId, request.Cmd, nil, &out, &problems)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, status.Errorf(codes.DeadlineExceeded, "failed to exec in container: timeout %ds exceeded: context deadline exceeded", request.Timeout)
	}
	if err != nil {
		return nil, err
	}
	return &cri.ExecSyncResponse{Stdout: out.Bytes(), Stderr: problems.Bytes(), ExitCode: int32(code)}, nil
}

func (r *runtimeServer) Exec(_ context.Context, request *cri.ExecRequest) (*cri.ExecResponse, error) {
	return r.streams.GetExec(request)
}

func (r *runtimeServer) PortForward(_ context.Context, request *cri.PortForwardRequest) (*cri.PortForwardResponse, error) {
	return r.streams.GetPortForward(request)
}

// execStreams is what `kubectl exec` and `kubectl port-forward` end at. There are no terminals.
type execStreams struct{ node *runtimeServer }

func (e execStreams) Exec(ctx context.Context, id string, argv []string, in io.Reader, out, problems io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	code, err := e.node.run(ctx, id, argv, in, out, problems)
	if err == nil && code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return err
}

func (e execStreams) Attach(context.Context, string, io.Reader, io.WriteCloser, io.WriteCloser, bool, <-chan remotecommand.TerminalSize) error {
	return errors.New("the test cluster's agent cannot attach")
}

func (e execStreams) PortForward(_ context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	e.node.lock.Lock()
	pod := e.node.sandboxes[id]
	e.node.lock.Unlock()
	if pod == nil {
		return fmt.Errorf("no sandbox %s", id)
	}
	var connection net.Conn
	err := e.node.within(pod, func() (err error) {
		connection, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
		return err
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() { _, _ = io.Copy(connection, stream) }()
	_, err = io.Copy(stream, connection)
	return err
}
