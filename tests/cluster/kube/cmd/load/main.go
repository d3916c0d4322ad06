// Command load sends requests to the gateway and prints, as one JSON object, which version answered how often and when:
//
//	{"requests": 5000, "seconds": 2.1, "answers": {"v1 200": {"count": 4950, "first_ms": 3, "last_ms": 2100}}}
//
// A request without an answer counts as "error". With --timeline the answers are also given per 100 ms.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type answers struct {
	Count int   `json:"count"`
	First int64 `json:"first_ms"`
	Last  int64 `json:"last_ms"`
}

type report struct {
	lock     sync.Mutex
	Requests int                    `json:"requests"`
	Seconds  float64                `json:"seconds"`
	Answers  map[string]*answers    `json:"answers"`
	Timeline map[int]map[string]int `json:"timeline,omitempty"`
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8000/", "where to")
	host := flag.String("host", "app.test", "Host header")
	count := flag.Int64("count", 5000, "how many requests; with --for it is the limit")
	lasting := flag.Duration("for", 10*time.Minute, "how long at most")
	workers := flag.Int("workers", 8, "how many at once")
	pause := flag.Duration("pause", 0, "pause of a worker between two requests")
	timeline := flag.Bool("timeline", false, "also tell the answers per 100 ms")
	flag.Parse()

	result := &report{Answers: map[string]*answers{}}
	if *timeline {
		result.Timeline = map[int]map[string]int{}
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: *workers}}
	began := time.Now()
	var left atomic.Int64
	left.Store(*count)
	var all sync.WaitGroup
	for range *workers {
		all.Go(func() {
			for left.Add(-1) >= 0 && time.Since(began) < *lasting {
				answer := send(client, *url, *host)
				result.add(answer, time.Since(began))
				time.Sleep(*pause)
			}
		})
	}
	all.Wait()
	result.Seconds = time.Since(began).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func send(client *http.Client, url, host string) string {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "error"
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return "error"
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "error"
	}
	version := response.Header.Get("X-Version")
	if version == "" {
		version = "none"
	}
	return fmt.Sprintf("%s %d", version, response.StatusCode)
}

func (r *report) add(answer string, at time.Duration) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.Requests++
	seen := r.Answers[answer]
	if seen == nil {
		seen = &answers{First: at.Milliseconds()}
		r.Answers[answer] = seen
	}
	seen.Count++
	seen.Last = at.Milliseconds()
	if r.Timeline != nil {
		slot := int(at.Milliseconds() / 100 * 100)
		if r.Timeline[slot] == nil {
			r.Timeline[slot] = map[string]int{}
		}
		r.Timeline[slot][answer]++
	}
}
