package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

// runtimeServer is the CRI's runtime service. Its lock guards the two maps and the fields of what they hold that change;
// no lock is held while a process is waited for.
type runtimeServer struct {
	cri.UnimplementedRuntimeServiceServer
	root    string
	network *network
	images  *imageStore
	streams streaming.Server

	lock       sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// sandbox is one pod: its addresses and namespaces outlive the containers in it.
type sandbox struct {
	id      string
	config  *cri.PodSandboxConfig
	created int64
	ready   bool
	link    *link // nil for a pod on the node's own network
}

func newID() string {
	var bytes [32]byte
	_, _ = rand.Read(bytes[:]) // never fails: it ends the program instead
	return hex.EncodeToString(bytes[:])
}

func (r *runtimeServer) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "process", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

func (r *runtimeServer) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
	}}}, nil
}

func (r *runtimeServer) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

func (r *runtimeServer) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

func (r *runtimeServer) RunPodSandbox(_ context.Context, request *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	pod := &sandbox{id: newID(), config: request.Config, created: time.Now().UnixNano(), ready: true}
	if request.Config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() != cri.NamespaceMode_NODE {
		var err error
		if pod.link, err = r.network.connect(pod.id); err != nil {
			return nil, err
		}
	}
	r.lock.Lock()
	r.sandboxes[pod.id] = pod
	r.lock.Unlock()
	return &cri.RunPodSandboxResponse{PodSandboxId: pod.id}, nil
}

func (r *runtimeServer) StopPodSandbox(_ context.Context, request *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.lock.Lock()
	pod := r.sandboxes[request.PodSandboxId]
	r.lock.Unlock()
	if pod == nil {
		return &cri.StopPodSandboxResponse{}, nil
	}
	for _, inside := range r.containersOf(pod.id) {
		r.stop(inside, 0)
	}
	r.lock.Lock()
	link := pod.link
	pod.ready, pod.link = false, nil
	r.lock.Unlock()
	if link != nil {
		r.network.disconnect(link)
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (r *runtimeServer) RemovePodSandbox(ctx context.Context, request *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	if _, err := r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: request.PodSandboxId}); err != nil {
		return nil, err
	}
	for _, inside := range r.containersOf(request.PodSandboxId) {
		if _, err := r.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: inside.id}); err != nil {
			return nil, err
		}
	}
	r.lock.Lock()
	delete(r.sandboxes, request.PodSandboxId)
	r.lock.Unlock()
	return &cri.RemovePodSandboxResponse{}, nil
}

func (r *runtimeServer) PodSandboxStatus(_ context.Context, request *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	pod := r.sandboxes[request.PodSandboxId]
	if pod == nil {
		return nil, status.Errorf(codes.NotFound, "an error occurred when try to find sandbox: not found")
	}
	return &cri.PodSandboxStatusResponse{Status: pod.status()}, nil
}

func (r *runtimeServer) ListPodSandbox(_ context.Context, request *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	filter, response := request.Filter, &cri.ListPodSandboxResponse{}
	for _, pod := range r.sandboxes {
		if filter.GetId() != "" && filter.Id != pod.id || filter.GetState() != nil && filter.State.State != pod.state() ||
			!matches(filter.GetLabelSelector(), pod.config.Labels) {
			continue
		}
		response.Items = append(response.Items, &cri.PodSandbox{
			Id: pod.id, Metadata: pod.config.Metadata, State: pod.state(), CreatedAt: pod.created,
			Labels: pod.config.Labels, Annotations: pod.config.Annotations,
		})
	}
	return response, nil
}

// within runs f in a pod's network, as long as the pod is there.
func (r *runtimeServer) within(pod *sandbox, f func() error) error {
	r.lock.Lock()
	ready, place := pod.ready, pod.link
	r.lock.Unlock()
	if !ready {
		return fmt.Errorf("sandbox %q is not running", pod.id)
	}
	if place == nil {
		return f()
	}
	return place.within(f)
}

func (s *sandbox) state() cri.PodSandboxState {
	if s.ready {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

func (s *sandbox) status() *cri.PodSandboxStatus {
	answer := &cri.PodSandboxStatus{
		Id: s.id, Metadata: s.config.Metadata, State: s.state(), CreatedAt: s.created,
		Labels: s.config.Labels, Annotations: s.config.Annotations, Network: &cri.PodSandboxNetworkStatus{},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}
	if s.link != nil {
		answer.Network.Ip = s.link.address
	}
	return answer
}

func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}
