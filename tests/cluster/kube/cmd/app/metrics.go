package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

var bounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// requests is what /metrics tells, in Prometheus' text format.
type requests struct {
	version string

	lock    sync.Mutex
	codes   map[int]int
	buckets [len(bounds)]int
	seconds float64
	all     int
}

func (r *requests) count(code int, took time.Duration) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.codes == nil {
		r.codes = map[int]int{}
	}
	r.codes[code]++
	r.all++
	r.seconds += took.Seconds()
	for i, bound := range bounds {
		if took.Seconds() <= bound {
			r.buckets[i]++
		}
	}
}

func (r *requests) write(w http.ResponseWriter, _ *http.Request) {
	r.lock.Lock()
	defer r.lock.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "# TYPE http_requests_total counter")
	for _, code := range slices.Sorted(maps.Keys(r.codes)) {
		fmt.Fprintf(w, "http_requests_total{code=\"%d\",version=%q} %d\n", code, r.version, r.codes[code])
	}
	fmt.Fprintln(w, "# TYPE http_request_duration_seconds histogram")
	for i, bound := range bounds {
		fmt.Fprintf(w, "http_request_duration_seconds_bucket{version=%q,le=\"%g\"} %d\n", r.version, bound, r.buckets[i])
	}
	fmt.Fprintf(w, "http_request_duration_seconds_bucket{version=%q,le=\"+Inf\"} %d\n", r.version, r.all)
	fmt.Fprintf(w, "http_request_duration_seconds_sum{version=%q} %g\n", r.version, r.seconds)
	fmt.Fprintf(w, "http_request_duration_seconds_count{version=%q} %d\n", r.version, r.all)
}
