package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// onDocument calls what concerns one document.
func (c *Client) onDocument(ctx context.Context, method, id string, parts []string, header http.Header, in, out any) error {
	return c.onDocumentWith(ctx, method, id, parts, nil, header, in, out)
}

func (c *Client) onDocumentWith(ctx context.Context, method, id string, parts []string, query url.Values, header http.Header, in, out any) error {
	path := "documents"
	for _, part := range append([]string{id}, parts...) {
		// These name nothing, and as a part of an address they would mean
		// another.
		if part == "" || part == "." || part == ".." || strings.Contains(part, "/") {
			return advised(fmt.Errorf("%w: %q is no id", ErrInvalid, part), "")
		}
		path += "/" + url.PathEscape(part)
	}
	return c.callWith(ctx, method, path, query, header, in, out)
}

// History implements Versions.
func (c *Client) History(ctx context.Context, id string, limit int) ([]Revision, error) {
	query := url.Values{}
	setNumber(query, "limit", limit)
	var list revisionList
	err := c.onDocumentWith(ctx, http.MethodGet, id, []string{"history"}, query, nil, nil, &list)
	return list.Revisions, err
}

// GetAt implements Versions.
func (c *Client) GetAt(ctx context.Context, id, commit string) (Document, error) {
	var doc Document
	err := c.onDocument(ctx, http.MethodGet, id, []string{"versions", commit}, nil, nil, &doc)
	return doc, err
}

// Replace implements Conditional.
func (c *Client) Replace(ctx context.Context, doc Document, base string) (Ack, error) {
	header := http.Header{ifNoneMatch: {"*"}}
	if base != "" {
		header = http.Header{ifMatch: {etag(base)}}
	}
	var ack Ack
	err := c.onDocument(ctx, http.MethodPut, doc.ID, nil, header, doc, &ack)
	return ack, err
}

// Remove implements Conditional.
func (c *Client) Remove(ctx context.Context, id, base string) (Ack, error) {
	var ack Ack
	err := c.onDocument(ctx, http.MethodDelete, id, nil, http.Header{ifMatch: {etag(base)}}, nil, &ack)
	return ack, err
}

// Undo implements Versions.
func (c *Client) Undo(ctx context.Context, id string) (Change, error) {
	var change Change
	err := c.onDocument(ctx, http.MethodGet, id, []string{"undo"}, nil, nil, &change)
	return change, err
}

// Restore implements Versions.
func (c *Client) Restore(ctx context.Context, id, commit, base string) (Ack, error) {
	var ack Ack
	err := c.onDocument(ctx, http.MethodPost, id, []string{"restore"}, nil, restoreRequest{commit, base}, &ack)
	return ack, err
}

// Stats implements Facts.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	err := c.call(ctx, http.MethodGet, "storage/stats", nil, nil, &stats)
	return stats, err
}

// Metrics implements Facts.
func (c *Client) Metrics(ctx context.Context) (Metrics, error) {
	var metrics Metrics
	err := c.call(ctx, http.MethodGet, "storage/metrics", nil, nil, &metrics)
	return metrics, err
}

// ResetMetrics implements Facts.
func (c *Client) ResetMetrics(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "storage/metrics", nil, nil, &struct{}{})
}

// Events implements Facts.
func (c *Client) Events(ctx context.Context, since uint64, limit int) ([]Event, error) {
	query := url.Values{}
	if since > 0 {
		query.Set("since", strconv.FormatUint(since, 10))
	}
	setNumber(query, "limit", limit)
	var list eventList
	err := c.call(ctx, http.MethodGet, "events", query, nil, &list)
	return list.Events, err
}

// Note implements Facts.
func (c *Client) Note(ctx context.Context, note Note) error {
	return c.call(ctx, http.MethodPost, "events", nil, note, &struct{}{})
}
