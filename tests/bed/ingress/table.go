package main

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

type meta struct {
	Name, Namespace     string
	Labels, Annotations map[string]string
}

func (m meta) key() string { return m.Namespace + "/" + m.Name }

type backend struct {
	Service *struct {
		Name string
		Port struct {
			Name   string
			Number int
		}
	}
}

type ingress struct {
	Metadata meta
	Spec     struct {
		DefaultBackend *backend
		Rules          []struct {
			Host string
			HTTP *struct {
				Paths []struct {
					Path, PathType string
					Backend        backend
				}
			}
		}
	}
}

type service struct {
	Metadata meta
	Spec     struct {
		Ports []struct {
			Name string
			Port int
		}
	}
}

type slice struct {
	Metadata  meta
	Endpoints []struct{ Conditions struct{ Ready *bool } }
}

// kind holds all objects of one kind by namespace/name. After each change it
// calls changed, under the table's lock, with the object before and after.
type kind[T any] struct {
	mu      *sync.RWMutex
	synced  atomic.Bool
	all     map[string]*T
	changed func(key string, before, after *T)
}

func (k *kind[T]) set(key string, after *T) {
	before := k.all[key]
	if after == nil {
		delete(k.all, key)
	} else {
		k.all[key] = after
	}
	k.changed(key, before, after)
}

func parse[T any](raw json.RawMessage) (string, *T, error) {
	var m struct{ Metadata meta }
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", nil, err
	}
	o := new(T)
	return m.Metadata.key(), o, json.Unmarshal(raw, o)
}

func (k *kind[T]) replace(items []json.RawMessage) error {
	fresh := make(map[string]*T, len(items))
	for _, raw := range items {
		key, o, err := parse[T](raw)
		if err != nil {
			return err
		}
		fresh[key] = o
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.all {
		if fresh[key] == nil {
			k.set(key, nil)
		}
	}
	for key, o := range fresh {
		k.set(key, o)
	}
	k.synced.Store(true)
	return nil
}

func (k *kind[T]) change(gone bool, raw json.RawMessage) error {
	key, o, err := parse[T](raw)
	if err != nil {
		return err
	}
	if gone {
		o = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set(key, o)
	return nil
}

// route is one path of one Ingress rule.
type route struct {
	ingress *ingress
	key     string // of the Ingress
	path    string
	exact   bool
	backend backend
}

func (r *route) matches(path string) bool {
	if r.exact {
		return path == r.path
	}
	prefix := strings.TrimSuffix(r.path, "/")
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// table is what the answers are made from.
type table struct {
	mu        sync.RWMutex
	ingresses kind[ingress]
	services  kind[service]
	slices    kind[slice]

	hosts map[string][]route // longest path first; "" serves every other host
	ready map[string]int     // ready endpoints by namespace/service
}

func newTable() *table {
	t := &table{hosts: map[string][]route{}, ready: map[string]int{}}
	t.ingresses = kind[ingress]{mu: &t.mu, all: map[string]*ingress{}, changed: t.ingressChanged}
	t.services = kind[service]{mu: &t.mu, all: map[string]*service{}, changed: func(string, *service, *service) {}}
	t.slices = kind[slice]{mu: &t.mu, all: map[string]*slice{}, changed: t.sliceChanged}
	return t
}

func (t *table) synced() bool {
	return t.ingresses.synced.Load() && t.services.synced.Load() && t.slices.synced.Load()
}

func (t *table) ingressChanged(key string, before, after *ingress) {
	if before != nil {
		for host := range routesOf(key, before) {
			left := slices.DeleteFunc(t.hosts[host], func(r route) bool { return r.key == key })
			if len(left) == 0 {
				delete(t.hosts, host)
			} else {
				t.hosts[host] = left
			}
		}
	}
	if after == nil {
		return
	}
	for host, routes := range routesOf(key, after) {
		t.hosts[host] = append(t.hosts[host], routes...)
		slices.SortStableFunc(t.hosts[host], byPrecedence)
	}
}

// byPrecedence orders as the Ingress reference says: the longest path first, and
// of equal paths the exact one; then by name, so that two runs agree.
func byPrecedence(a, b route) int {
	if d := len(b.path) - len(a.path); d != 0 {
		return d
	}
	if a.exact != b.exact {
		if a.exact {
			return -1
		}
		return 1
	}
	return strings.Compare(a.key, b.key)
}

func routesOf(key string, in *ingress) map[string][]route {
	routes := map[string][]route{}
	if in.Spec.DefaultBackend != nil {
		routes[""] = append(routes[""], route{in, key, "/", false, *in.Spec.DefaultBackend})
	}
	for _, rule := range in.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, p := range rule.HTTP.Paths {
			path := p.Path
			if path == "" {
				path = "/"
			}
			r := route{in, key, path, p.PathType == "Exact", p.Backend}
			routes[rule.Host] = append(routes[rule.Host], r)
		}
	}
	return routes
}

func (t *table) sliceChanged(_ string, before, after *slice) {
	t.count(before, -1)
	t.count(after, +1)
}

func (t *table) count(s *slice, sign int) {
	if s == nil {
		return
	}
	key := s.Metadata.Namespace + "/" + s.Metadata.Labels["kubernetes.io/service-name"]
	for _, e := range s.Endpoints {
		if e.Conditions.Ready == nil || *e.Conditions.Ready {
			t.ready[key] += sign
		}
	}
	if t.ready[key] == 0 {
		delete(t.ready, key)
	}
}

// answer is what a request for host and path is to get.
type answer struct {
	status  int
	service string
	ingress *ingress
}

// find looks up host and path; with anyPath it takes any route of the host when
// none matches the path.
func (t *table) find(host, path string, anyPath bool) answer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	routes, ok := t.hosts[host]
	if _, domain, dot := strings.Cut(host, "."); !ok && dot {
		routes, ok = t.hosts["*."+domain]
	}
	if !ok {
		routes = t.hosts[""]
	}
	for i := range routes {
		if routes[i].matches(path) {
			return t.through(&routes[i])
		}
	}
	if anyPath && len(routes) > 0 {
		return t.through(&routes[len(routes)-1])
	}
	return answer{status: 404}
}

func (t *table) through(r *route) answer {
	want := r.backend.Service
	if want == nil {
		return answer{status: 404}
	}
	key := r.ingress.Metadata.Namespace + "/" + want.Name
	s := t.services.all[key]
	if s == nil {
		return answer{status: 404}
	}
	for _, p := range s.Spec.Ports {
		if (want.Port.Name != "" && p.Name == want.Port.Name) || p.Port == want.Port.Number {
			if t.ready[key] == 0 {
				return answer{status: 503, service: key}
			}
			return answer{status: 200, service: key, ingress: r.ingress}
		}
	}
	return answer{status: 404}
}
