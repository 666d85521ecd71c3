package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

func (s *Server) list(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	query := ListQuery{Contains: values.Get("contains"), Type: values.Get("type")}
	if query.Offset, err = number(values, "offset", 1<<62); err != nil {
		return nil, err
	}
	if query.Limit, err = number(values, "limit", MaxList); err != nil {
		return nil, err
	}
	page, err := s.engine.List(c.ctx, query)
	page.Rows = orEmpty(page.Rows)
	return page, err
}

// query parses the parameters of the address.
func (c *call) query() (url.Values, error) {
	values, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: the query of the address: %w", ErrInvalid, err)
	}
	return values, nil
}

// number reads an optional number from 0 to most.
func number(values url.Values, name string, most int) (int, error) {
	s := values.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s=%q is not a number from 0 to %d", ErrInvalid, name, s, most)
	}
	return n, nil
}

// limited reads only the parameter limit.
func (c *call) limited(most int) (url.Values, int, error) {
	values, err := c.query()
	if err != nil {
		return nil, 0, err
	}
	limit, err := number(values, "limit", most)
	return values, limit, err
}

// orEmpty makes a list without entries [] instead of null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Server) put(c *call) (any, error) {
	var batch documentBatch
	if err := decodeBytes(c.body, &batch); err != nil {
		return nil, err
	}
	if err := checkCount("documents", len(batch.Documents)); err != nil {
		return nil, err
	}
	return acknowledged(s.engine.Put(c.ctx, batch.Documents))
}

func checkCount(what string, n int) error {
	switch {
	case n == 0:
		return fmt.Errorf("%w: no %s were given", ErrInvalid, what)
	case n > MaxBatch:
		return fmt.Errorf("%w: %d %s were given, the limit is %d", ErrTooLarge, n, what, MaxBatch)
	}
	return nil
}

func acknowledged(ack Ack, err error) (any, error) {
	ack.OpIDs = orEmpty(ack.OpIDs)
	return ack, err
}

func (s *Server) get(c *call) (any, error) {
	doc, err := s.engine.Get(c.ctx, c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return c.tagged(doc)
}

func (s *Server) getAt(c *call) (any, error) {
	doc, err := s.engine.GetAt(c.ctx, c.PathValue("id"), c.PathValue("commit"))
	if err != nil {
		return nil, err
	}
	return c.tagged(doc)
}

// putOne writes one document, on condition if the request has one.
func (s *Server) putOne(c *call) (any, error) {
	var doc Document
	if err := decodeBytes(c.body, &doc); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if doc.ID == "" {
		doc.ID = id
	}
	if doc.ID != id {
		return nil, fmt.Errorf("%w: the address names %q, the body %q", ErrInvalid, id, doc.ID)
	}
	base, err := s.expected(c)
	if err != nil {
		return nil, err
	}
	var ack Ack
	if c.conditional {
		ack, err = s.engine.Replace(c.ctx, doc, base)
	} else {
		ack, err = s.engine.Put(c.ctx, []Document{doc})
	}
	if err != nil {
		return nil, err
	}
	// The write is done, whatever comes of this: without a tag the caller reads
	// the document to get one. What somebody else wrote meanwhile has no tag
	// for this caller, who does not know it.
	if stored, err := s.engine.Get(c.ctx, id); err == nil && stored.Hash != "" && sameContent(stored, doc) {
		c.header.Set("ETag", etag(stored.Hash))
	}
	return acknowledged(ack, nil)
}

// sameContent leaves out what the engine gives a document.
func sameContent(a, b Document) bool {
	return a.ID == b.ID && a.Type == b.Type && a.SourceURL == b.SourceURL && a.SourcePath == b.SourcePath &&
		a.Text == b.Text && bytes.Equal(a.Raw, b.Raw) && maps.EqualFunc(a.Metadata, b.Metadata, sameJSON)
}

func sameJSON(a, b json.RawMessage) bool {
	var values [2]any
	for i, raw := range []json.RawMessage{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

func (s *Server) deleteOne(c *call) (any, error) {
	id := c.PathValue("id")
	if c.Header.Get(ifNoneMatch) != "" {
		return nil, fmt.Errorf("%w: a delete has no %s", ErrInvalid, ifNoneMatch)
	}
	base, err := s.expected(c)
	if err != nil {
		return nil, err
	}
	if c.conditional {
		return acknowledged(s.engine.Remove(c.ctx, id, base))
	}
	return acknowledged(s.engine.Delete(c.ctx, []string{id}))
}

func (s *Server) deleteMany(c *call) (any, error) {
	var batch idBatch
	if err := decodeBytes(c.body, &batch); err != nil {
		return nil, err
	}
	if err := checkCount("ids", len(batch.IDs)); err != nil {
		return nil, err
	}
	return acknowledged(s.engine.Delete(c.ctx, batch.IDs))
}

func (s *Server) history(c *call) (any, error) {
	_, limit, err := c.limited(MaxHistory)
	if err != nil {
		return nil, err
	}
	revisions, err := s.engine.History(c.ctx, c.PathValue("id"), limit)
	return revisionList{orEmpty(revisions)}, err
}

func (s *Server) undo(c *call) (any, error) { return s.engine.Undo(c.ctx, c.PathValue("id")) }

// restore names the version it expects in the body, so that it is conditional
// in any case.
func (s *Server) restore(c *call) (any, error) {
	var wanted restoreRequest
	if err := decodeBytes(c.body, &wanted); err != nil {
		return nil, err
	}
	if wanted.Commit == "" {
		return nil, fmt.Errorf("%w: no commit was given", ErrInvalid)
	}
	c.conditional = true
	return acknowledged(s.engine.Restore(c.ctx, c.PathValue("id"), wanted.Commit, wanted.Base))
}

func (s *Server) search(c *call) (any, error) {
	values, limit, err := c.limited(MaxList)
	if err != nil {
		return nil, err
	}
	found, err := s.engine.Search(c.ctx, values.Get("q"), limit)
	found.Hits = orEmpty(found.Hits)
	return found, err
}

func (s *Server) events(c *call) (any, error) {
	values, limit, err := c.limited(MaxEvents)
	if err != nil {
		return nil, err
	}
	since := uint64(0)
	if given := values.Get("since"); given != "" {
		if since, err = strconv.ParseUint(given, 10, 64); err != nil {
			return nil, fmt.Errorf("%w: since=%q is not the number of an event", ErrInvalid, given)
		}
	}
	events, err := s.engine.Events(c.ctx, since, limit)
	return eventList{orEmpty(events)}, err
}

func (s *Server) note(c *call) (any, error) {
	var note Note
	if err := decodeBytes(c.body, &note); err != nil {
		return nil, err
	}
	switch {
	case note.Level != "info" && note.Level != "warning" && note.Level != "error":
		return nil, fmt.Errorf("%w: the level %q is none of info, warning and error", ErrInvalid, note.Level)
	case strings.TrimSpace(note.Text) == "":
		return nil, fmt.Errorf("%w: the note has no text", ErrInvalid)
	case max(len(note.Text), len(note.Next)) > MaxNote:
		return nil, fmt.Errorf("%w: the note has more than %d bytes", ErrTooLarge, MaxNote)
	}
	return struct{}{}, s.engine.Note(c.ctx, note)
}

func (s *Server) status(c *call) (any, error) { return s.engine.Status(c.ctx) }

func (s *Server) stats(c *call) (any, error) {
	stats, err := s.engine.Stats(c.ctx)
	stats.Engine.Safe = orEmpty(stats.Engine.Safe)
	return stats, err
}

func (s *Server) metrics(c *call) (any, error) {
	metrics, err := s.engine.Metrics(c.ctx)
	metrics.Operations = orEmpty(metrics.Operations)
	return metrics, err
}

func (s *Server) resetMetrics(c *call) (any, error) {
	return struct{}{}, s.engine.ResetMetrics(c.ctx)
}

// recoverNow accepts true and false only: a misspelt word must not decide.
func (s *Server) recoverNow(c *call) (any, error) {
	values, err := c.query()
	if err != nil {
		return nil, err
	}
	adopt := values.Get("adopt")
	if adopt != "" && adopt != "true" && adopt != "false" {
		return nil, fmt.Errorf("%w: adopt=%q is neither true nor false", ErrInvalid, adopt)
	}
	return struct{}{}, s.engine.Recover(c.ctx, adopt == "true")
}
