package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// newTargetsCommand keeps the list of pods that Prometheus scrapes, for a Prometheus that cannot ask the API server itself.
func newTargetsCommand() *cobra.Command {
	var kubeconfig, file string
	command := &cobra.Command{Use: "targets", RunE: func(command *cobra.Command, _ []string) error {
		return keepTargets(command.Context(), kubeconfig, file)
	}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&file, "file", "", "file_sd list to write")
	return command
}

func keepTargets(ctx context.Context, kubeconfig, file string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	watch := informers.NewSharedInformerFactory(client, 0)
	pods := watch.Core().V1().Pods().Informer()
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err = pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	})
	if err != nil {
		return err
	}
	watch.Start(ctx.Done())
	tell()
	var last []byte
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		text, err := json.MarshalIndent(targetsOf(pods.GetStore().List()), "", " ")
		if err != nil {
			return err
		}
		if bytes.Equal(text, last) {
			continue
		}
		if err := errors.Join(os.WriteFile(file+".new", text, 0o644), os.Rename(file+".new", file)); err != nil {
			return err
		}
		last = text
		time.Sleep(50 * time.Millisecond) // a rollout is a burst of changes
	}
}

type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targetsOf picks the running pods annotated prometheus.io/scrape: "true", on the first port of the first container that
// has one, or on the annotated one.
func targetsOf(pods []any) []target {
	targets := []target{}
	for _, each := range pods {
		pod, isPod := each.(*core.Pod)
		if !isPod || pod.Annotations["prometheus.io/scrape"] != "true" || pod.Status.PodIP == "" || pod.Status.Phase != core.PodRunning {
			continue
		}
		port := pod.Annotations["prometheus.io/port"]
		for _, container := range pod.Spec.Containers {
			if port == "" && len(container.Ports) > 0 {
				port = strconv.Itoa(int(container.Ports[0].ContainerPort))
			}
		}
		if port == "" {
			continue
		}
		labels := map[string]string{"pod": pod.Name, "namespace": pod.Namespace}
		for key, value := range pod.Labels {
			labels[strings.NewReplacer("-", "_", ".", "_", "/", "_").Replace(key)] = value
		}
		targets = append(targets, target{[]string{net.JoinHostPort(pod.Status.PodIP, port)}, labels})
	}
	slices.SortFunc(targets, func(a, b target) int { return strings.Compare(a.Targets[0], b.Targets[0]) })
	return targets
}
