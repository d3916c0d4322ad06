// Command app is the service that the test cluster's pods run: it says its version, measures its requests and misbehaves
// on demand. Its environment sets it up:
//
//	VERSION        what it answers and labels its metrics with
//	PORT           8080 when unset
//	EXIT_AT_START  a line for stderr; the program then ends with code 1
//	EXIT_AFTER     a duration, then the program ends with code 1
//	REQUIRED       names of variables without which it does not start, separated by commas
//	START_DELAY    a duration in which it does not listen yet
//	READY_DELAY    a duration in which /readyz fails
//	LATENCY        a duration that each request takes
//	ERROR_RATE     share of requests answered with 500, 0 to 1
//	TAIL_RATE      share of requests that take TAIL_LATENCY instead, 0 to 1
//	JOB            a duration after which the program is through and ends with code JOB_CODE (0 when unset)
//
// `app pause` only waits: it is what holds a pod's namespaces on a node with a real container runtime. `app fail LINE`
// ends at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "pause" {
		<-ctx.Done()
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "fail" {
		fail(os.Args[2])
	}
	for name := range strings.SplitSeq(os.Getenv("REQUIRED"), ",") {
		if name != "" && os.Getenv(name) == "" {
			fail(name + " is not set")
		}
	}
	if line := os.Getenv("EXIT_AT_START"); line != "" {
		fail(line)
	}
	if after := duration("EXIT_AFTER"); after > 0 {
		time.AfterFunc(after, func() { fail("EXIT_AFTER is over") })
	}
	if os.Getenv("JOB") != "" {
		wait(ctx, duration("JOB"))
		fmt.Println("done")
		os.Exit(int(number("JOB_CODE")))
	}
	wait(ctx, duration("START_DELAY"))
	if err := serve(ctx); err != nil {
		fail(err.Error())
	}
}

func serve(ctx context.Context) error {
	version, host := os.Getenv("VERSION"), os.Getenv("HOSTNAME")
	ready := time.Now().Add(duration("READY_DELAY"))
	var stopping atomic.Bool
	measured := &requests{version: version}
	paths := http.NewServeMux()
	paths.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	paths.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if stopping.Load() || time.Now().Before(ready) {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	paths.HandleFunc("GET /metrics", measured.write)
	latency, tailLatency := duration("LATENCY"), duration("TAIL_LATENCY")
	errorRate, tailRate := number("ERROR_RATE"), number("TAIL_RATE")
	paths.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		began, code, takes := time.Now(), http.StatusOK, latency
		if rand.Float64() < tailRate {
			takes = tailLatency
		}
		wait(r.Context(), takes)
		if rand.Float64() < errorRate {
			code = http.StatusInternalServerError
		}
		w.Header().Set("X-Version", version)
		w.WriteHeader(code)
		fmt.Fprintf(w, "%s %s\n", version, host)
		measured.count(code, time.Since(began))
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: paths}
	drained := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		fmt.Println("asked to end: draining")
		stopping.Store(true)
		deadline, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		drained <- server.Shutdown(deadline)
	})
	fmt.Printf("%s listens on %s\n", version, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "app:", why)
	os.Exit(1)
}

func wait(ctx context.Context, long time.Duration) {
	if long <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

func duration(name string) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		fail(name + ": " + err.Error())
	}
	return value
}

func number(name string) float64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		fail(name + ": " + err.Error())
	}
	return value
}
