package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"time"
)

// client reads from one API server.
type client struct {
	base string
	http *http.Client
}

// sink takes one kind of object as a list of all and then change by change.
type sink interface {
	replace(items []json.RawMessage) error
	change(gone bool, object json.RawMessage) error
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// watch keeps s in step with what lies at path until ctx ends. Whatever goes
// wrong (the server is away, the version is too old, half an event) it lists
// again: the bed is small, and a list is always right.
func watch(ctx context.Context, c *client, path string, s sink) {
	retry := firstRetry
	for ctx.Err() == nil {
		version, err := c.list(ctx, path, s)
		if err == nil {
			retry = firstRetry
			err = c.follow(ctx, path, version, s)
		}
		if ctx.Err() != nil {
			return
		}
		log.Printf("%s: %v; listing again in %v", path, err, retry)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

func (c *client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "bed-ingress")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	return resp.Body, nil
}

// list hands everything at path to s, and returns the version to follow from.
func (c *client) list(ctx context.Context, path string, s sink) (string, error) {
	var all []json.RawMessage
	query := url.Values{"limit": {"500"}}
	for {
		body, err := c.get(ctx, path, query)
		if err != nil {
			return "", err
		}
		var page struct {
			Metadata struct{ ResourceVersion, Continue string }
			Items    []json.RawMessage
		}
		err = json.NewDecoder(body).Decode(&page)
		body.Close()
		if err != nil {
			return "", err
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			return page.Metadata.ResourceVersion, s.replace(all)
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// follow hands each change after version to s; it always ends with an error.
func (c *client) follow(ctx context.Context, path, version string, s sink) error {
	for {
		next, err := c.followOnce(ctx, path, version, s)
		if err != io.EOF {
			return err
		}
		version = next // the server ended the watch in good order: go on from here
	}
}

func (c *client) followOnce(ctx context.Context, path, version string, s sink) (string, error) {
	body, err := c.get(ctx, path, url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {version},
	})
	if err != nil {
		return version, err
	}
	defer body.Close()
	for events := json.NewDecoder(body); ; {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&e); err != nil {
			return version, err
		}
		if e.Type == "ERROR" {
			return version, fmt.Errorf("watch: %.200s", e.Object)
		}
		var o struct {
			Metadata struct{ ResourceVersion string }
		}
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return version, err
		}
		version = o.Metadata.ResourceVersion
		if e.Type == "BOOKMARK" {
			continue
		}
		if err := s.change(e.Type == "DELETED", e.Object); err != nil {
			return version, err
		}
	}
}
