package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// network hands out the addresses .2 to .253 of one subnet, round robin so that none is used again right away.
type network struct {
	subnet, bridge string

	lock sync.Mutex
	used [256]bool
	last int
}

// link is a pod's place on the network: a network namespace whose eth0 is joined to the bridge.
type link struct {
	address   string
	device    string // the bridge's end
	number    int
	namespace *os.File
}

// The main goroutine keeps the process' first thread to itself: that thread's network is what /proc/PID/ns/net names, so no
// goroutine may take it elsewhere.
func init() { runtime.LockOSThread() }

func (n *network) connect(id string) (*link, error) {
	made := &link{device: "pod" + id[:11]}
	n.lock.Lock()
	for try := 0; try < 252 && made.number == 0; try++ {
		n.last = n.last%252 + 1
		if !n.used[n.last+1] {
			made.number = n.last + 1
			n.used[made.number] = true
		}
	}
	n.lock.Unlock()
	if made.number == 0 {
		return nil, fmt.Errorf("no free address in %s0/24", n.subnet)
	}
	made.address = fmt.Sprintf("%s%d", n.subnet, made.number)
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		var err error
		if made.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return ip("link set lo up",
			fmt.Sprintf("link add eth0 type veth peer name %s netns %d", made.device, os.Getpid()),
			fmt.Sprintf("address add %s/24 dev eth0", made.address),
			"link set eth0 up",
			fmt.Sprintf("route add default via %s1", n.subnet))
	})
	if err == nil {
		err = ip(fmt.Sprintf("link set %s master %s up", made.device, n.bridge))
	}
	if err != nil {
		n.disconnect(made)
		return nil, err
	}
	return made, nil
}

func (n *network) disconnect(gone *link) {
	_ = ip("link delete " + gone.device) // fails when it never came to be
	if gone.namespace != nil {
		_ = gone.namespace.Close()
	}
	n.lock.Lock()
	n.used[gone.number] = false
	n.lock.Unlock()
}

// within runs f in the pod's network; processes that f starts are in it too.
func (l *link) within(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(l.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the pod's network: %w", err)
		}
		return f()
	})
}

// onOwnThread runs f on a thread that ends with it, so that its namespaces cannot leak to anything else.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- f()
	}()
	return <-result
}

func ip(commands ...string) error {
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}
