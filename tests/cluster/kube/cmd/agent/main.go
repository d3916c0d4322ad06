// Command agent is a container runtime whose containers are plain local processes: it serves the kubelet's container
// runtime interface (CRI) on a unix socket. Each pod has a network namespace with an address of its own on a bridge, each
// container a root folder unpacked from its image and a process namespace. It needs no container engine and no cgroups,
// and no root either: root of a user namespace is enough. Images are to hold static programs, for there is no /proc.
//
// Everything that is known is in memory: an agent that starts again knows no pods, and its old processes are gone.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

func main() {
	socket := flag.String("listen", "agent.sock", "unix socket to serve the CRI on")
	root := flag.String("root", "agent", "folder for images and containers")
	subnet := flag.String("subnet", "10.244.0.", "first three octets of the pods' addresses; .1 is the bridge")
	bridge := flag.String("bridge", "pods0", "bridge that the pods are on")
	flag.Parse()
	if err := serve(*socket, *root, &network{subnet: *subnet, bridge: *bridge}); err != nil {
		log.Fatal("agent: ", err)
	}
}

func serve(socket, root string, pods *network) error {
	images, err := newImageStore(root)
	if err != nil {
		return err
	}
	node := &runtimeServer{root: root, network: pods, images: images, sandboxes: map[string]*sandbox{}, containers: map[string]*container{}}
	config := streaming.DefaultConfig
	config.Addr = "127.0.0.1:0"
	if node.streams, err = streaming.NewServer(config, execStreams{node}); err != nil {
		return err
	}
	go func() { log.Print("agent: streams: ", node.streams.Start(true)) }()

	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, node)
	cri.RegisterImageServiceServer(server, images)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		node.killAll()
		server.Stop()
	}()
	return server.Serve(listener)
}
