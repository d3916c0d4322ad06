package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// logFile is a container's output as the kubelet reads it, a line each:
//
//	2026-01-02T15:04:05.999999999Z stdout F text
type logFile struct {
	lock    sync.Mutex
	file    *os.File
	streams []*logStream
}

type logStream struct {
	log  *logFile
	name string
	rest []byte // a line without its end
}

func newLogFile(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	return &logFile{file: file}, err
}

func (l *logFile) stream(name string) *logStream {
	stream := &logStream{log: l, name: name}
	l.streams = append(l.streams, stream)
	return stream
}

func (s *logStream) Write(text []byte) (int, error) {
	s.log.lock.Lock()
	defer s.log.lock.Unlock()
	s.rest = append(s.rest, text...)
	for {
		end := bytes.IndexByte(s.rest, '\n')
		if end < 0 {
			return len(text), nil
		}
		if err := s.line("F", s.rest[:end]); err != nil {
			return 0, err
		}
		s.rest = s.rest[end+1:]
	}
}

func (s *logStream) line(tag string, text []byte) error {
	_, err := s.log.file.WriteString(time.Now().UTC().Format(time.RFC3339Nano) + " " + s.name + " " + tag + " " + string(text) + "\n")
	return err
}

func (l *logFile) close() {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, stream := range l.streams {
		if len(stream.rest) > 0 {
			_ = stream.line("P", stream.rest)
		}
	}
	_ = l.file.Close()
}

// ReopenContainerLog would follow a rotation: logs of tests are never long enough for one.
func (r *runtimeServer) ReopenContainerLog(context.Context, *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	return &cri.ReopenContainerLogResponse{}, nil
}
