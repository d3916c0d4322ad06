package main

import (
	"context"
	"runtime"

	"github.com/google/cadvisor/info/v1"
	"github.com/google/cadvisor/info/v2"
	"github.com/spf13/cobra"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	"k8s.io/kubernetes/pkg/util/filesystem"
	"k8s.io/kubernetes/pkg/util/oom"
)

// newNodeCommand is the kubelet without what only root can do: no cgroups, no out-of-memory scores, no measuring of the
// machine. Everything that a pod's status says is the kubelet's own code.
func newNodeCommand() *cobra.Command {
	flags := options.NewKubeletFlags()
	var config string
	command := &cobra.Command{Use: "node", RunE: func(command *cobra.Command, _ []string) error {
		return runNode(command.Context(), flags, config)
	}}
	command.Flags().StringVar(&config, "config", "", "kubelet configuration file")
	command.Flags().StringVar(&flags.KubeConfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&flags.HostnameOverride, "hostname-override", "", "name of the node")
	command.Flags().StringVar(&flags.NodeIP, "node-ip", "", "address of the node")
	command.Flags().StringVar(&flags.RootDirectory, "root-dir", "", "folder for the kubelet's files")
	command.Flags().StringVar(&flags.CertDirectory, "cert-dir", "", "folder for the kubelet's certificate")
	return command
}

func runNode(ctx context.Context, flags *options.KubeletFlags, config string) error {
	loader, err := configfiles.NewFsLoader(&filesystem.DefaultFs{}, config)
	if err != nil {
		return err
	}
	settings, err := loader.Load(ctx)
	if err != nil {
		return err
	}
	server := &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *settings}
	gates := utilfeature.DefaultMutableFeatureGate
	if err := gates.SetFromMap(settings.FeatureGates); err != nil {
		return err
	}
	parts, err := app.UnsecuredDependencies(ctx, server, gates)
	if err != nil {
		return err
	}
	parts.CAdvisorInterface = machine{&testing.Fake{}}
	parts.ContainerManager = cm.NewStubContainerManager()
	parts.OOMAdjuster = oom.NewFakeOOMAdjuster()
	return app.Run(ctx, server, parts, gates)
}

// machine is a large machine that is never short of anything.
type machine struct{ *testing.Fake }

const gibibyte = 1 << 30

func (machine) MachineInfo() (*v1.MachineInfo, error) {
	return &v1.MachineInfo{NumCores: 64, MemoryCapacity: 64 * gibibyte, MachineID: "hms-test"}, nil
}

func (machine) VersionInfo() (*v1.VersionInfo, error) {
	return &v1.VersionInfo{KernelVersion: runtime.GOOS, ContainerOsVersion: "processes of the test machine"}, nil
}

func (machine) ImagesFsInfo(context.Context) (v2.FsInfo, error)    { return disk(), nil }
func (machine) RootFsInfo() (v2.FsInfo, error)                     { return disk(), nil }
func (machine) ContainerFsInfo(context.Context) (v2.FsInfo, error) { return disk(), nil }
func (machine) GetDirFsInfo(string) (v2.FsInfo, error)             { return disk(), nil }

func disk() v2.FsInfo {
	inodes, free := uint64(1<<20), uint64(1<<19)
	return v2.FsInfo{Capacity: 100 * gibibyte, Available: 90 * gibibyte, Usage: 10 * gibibyte, Inodes: &inodes, InodesFree: &free}
}
