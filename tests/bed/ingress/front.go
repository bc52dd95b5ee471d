package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// front answers the requests.
type front struct {
	cluster string
	table   *table
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Cluster", f.cluster)
	path := r.URL.Path
	if path == "/__health" {
		if !f.table.synced() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	special := path == "/healthz" || path == "/slow" || path == "/stream"
	a := f.table.find(hostOf(r), path, special)
	if a.status != http.StatusOK {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(a.status)
		fmt.Fprintf(w, "%d %s %s\n", a.status, hostOf(r), path)
		return
	}
	if path == "/stream" {
		stream(w, r)
		return
	}
	if path == "/slow" && !wait(r, number(r, "ms")) {
		return
	}
	f.page(w, r, a)
}

func (f *front) page(w http.ResponseWriter, r *http.Request, a answer) {
	notes := a.ingress.Metadata.Annotations
	body := a.service + " " + r.URL.Path + "\n"
	if text, ok := notes["bed.tandem.dev/body"]; ok {
		body = strings.NewReplacer("${cluster}", f.cluster, "${service}", a.service,
			"${path}", r.URL.Path).Replace(text)
	}
	kind := notes["bed.tandem.dev/content-type"]
	if kind == "" {
		kind = "text/plain"
	}
	status, err := strconv.Atoi(notes["bed.tandem.dev/status"])
	if err != nil || status < 200 || status > 599 {
		status = a.status
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write([]byte(body))
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	out := http.NewResponseController(w)
	for i, n := 1, number(r, "n"); i <= n; i++ {
		if _, err := fmt.Fprintf(w, "chunk %d of %d\n", i, n); err != nil {
			return
		}
		if out.Flush() != nil || (i < n && !wait(r, number(r, "ms"))) {
			return
		}
	}
}

// hostOf is the host that the request is for, without its port, in lower case.
func hostOf(r *http.Request) string {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// number reads a query parameter; 0 when it is none, a million at most.
func number(r *http.Request, name string) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return 0
	}
	return min(n, 1_000_000)
}

// wait sleeps for ms milliseconds; false when the client left meanwhile.
func wait(r *http.Request, ms int) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	}
}
