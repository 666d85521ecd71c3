package govcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxEventPaths bounds the paths that one event names.
	MaxEventPaths = 1000
	// heartbeat is how often a stream without events shows that it lives.
	heartbeat = 15 * time.Second
	// eventTimeout is how long a reader may take for one event.
	eventTimeout = 10 * time.Second
)

type commitEvent struct {
	Hash      string    `json:"hash"`
	Parent    string    `json:"parent,omitempty"` // where the branch was before
	Author    string    `json:"author"`
	Email     string    `json:"email"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Branch    string    `json:"branch"`
	Paths     []string  `json:"paths"` // of files that are not what they were in Parent
	More      bool      `json:"more"`  // there are more of them
}

type gapEvent struct {
	Since string `json:"since"`
	Tip   string `json:"tip,omitempty"` // of main: what was missed is to be listed there
}

// getEvents streams commits as they are made. A request that names the last
// one it knows gets what it missed, or a gap. While it waits it does not hold
// the repository open, so that that can be closed.
func (s *Service) getEvents(w http.ResponseWriter, r *http.Request, t target) error {
	since := r.Header.Get("Last-Event-Id")
	if asked := r.URL.Query().Get("since"); since == "" {
		since = asked
	}
	known, ok := parseHash(since)
	if since != "" && !ok {
		return fail(http.StatusBadRequest, "INVALID_SINCE", "since must be the hash of a commit")
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return tooManyStreams(w, "service", MaxAllStreams)
	}
	repo, release, err := s.repo(t.id)
	if err != nil {
		return err
	}
	release = sync.OnceFunc(release)
	defer release()
	tip, err := repo.head(gitrepo.Main) // before listening, so that no step is lost between
	if err != nil {
		return err
	}
	l, earlier, ok := repo.feed.listen()
	if !ok {
		return tooManyStreams(w, "repository", MaxStreams)
	}
	defer repo.feed.leave(l)
	if s.leaving.Load() {
		w.Header().Set("Retry-After", "1")
		return errStopped()
	}
	missed, whole, err := repo.missed(r.Context(), known, tip, earlier)
	if err != nil {
		return err
	}
	release()
	out, err := newStream(w)
	if err != nil {
		return err
	}
	if !whole {
		tip, _ := repo.head(gitrepo.Main) // main is always there
		if err := out.event("gap", "", gapEvent{since, named(tip)}); err != nil {
			return nil //nolint:nilerr // the reader is gone
		}
	}
	return repo.stream(r.Context(), out, l, missed, s.mayRead(r, t.id))
}

func tooManyStreams(w http.ResponseWriter, where string, most int) error {
	w.Header().Set("Retry-After", "1")
	return fail(http.StatusServiceUnavailable, "OVERLOADED", fmt.Sprintf("the %s has %d streams of events already", where, most))
}

// stream sends what was missed and then what comes, until the reader leaves,
// is too slow, may not read any more, or the stream is hung up.
func (r *repo) stream(ctx context.Context, out *stream, l *listener, missed []move, may func() bool) error {
	for _, m := range missed {
		if more, err := r.tell(ctx, out, m); err != nil || !more {
			return err
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case m, more := <-l.moves:
			if !more || !may() {
				return nil
			}
			if more, err := r.tell(ctx, out, m); err != nil || !more {
				return err
			}
		case <-l.slow:
			return nil
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if !may() || out.send(": \n\n") != nil {
				return nil
			}
		}
	}
}

// tell sends one event; more is false if the stream is over.
func (r *repo) tell(ctx context.Context, out *stream, m move) (more bool, err error) {
	if !r.hold() {
		return false, nil
	}
	e, err := r.event(ctx, m)
	r.release()
	switch {
	case ctx.Err() != nil:
		return false, nil
	case err != nil:
		return false, err
	}
	return out.event("commit", e.Hash, e) == nil, nil
}

// event reads what a move did.
func (r *repo) event(ctx context.Context, m move) (commitEvent, error) {
	c, err := r.git.ReadCommit(ctx, m.after)
	if err != nil {
		return commitEvent{}, err
	}
	shown := shownCommit(c)
	e := commitEvent{
		Hash: shown.Hash, Parent: named(m.before), Author: shown.Author, Email: shown.Email, Message: shown.Message,
		Timestamp: shown.Timestamp, Branch: m.branch, Paths: []string{},
	}
	err = r.git.Diff(ctx, m.before, m.after, document.Path{}, func(edit gitrepo.Edit) error {
		if e.More = len(e.Paths) == MaxEventPaths; e.More {
			return errStop
		}
		e.Paths = append(e.Paths, edit.Path)
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return e, err
}

// missed returns the moves since a commit that a reader knows, and whether
// those are all. tip is where main was before the earlier moves were asked for.
//
// A commit that is none of those may lie before them: then the history of main
// leads there, if main is the only branch.
func (r *repo) missed(ctx context.Context, known, tip gitrepo.Hash, earlier []move) ([]move, bool, error) {
	if known.IsZero() {
		return nil, true, nil
	}
	for i, m := range earlier {
		if m.after == known {
			return earlier[i+1:], true, nil
		}
	}
	r.mu.RLock()
	branches := len(r.tips)
	r.mu.RUnlock()
	at := tip
	for _, m := range earlier {
		if m.branch != gitrepo.Main {
			return nil, false, nil
		}
	}
	if branches > 1 {
		return nil, false, nil
	}
	if len(earlier) > 0 {
		at = earlier[0].before
	}
	var before []move // the newest first
	for at != known {
		if at.IsZero() || len(before)+len(earlier) >= MaxBacklog {
			return nil, false, nil
		}
		c, err := r.git.ReadCommit(ctx, at)
		if err != nil {
			return nil, false, err
		}
		m := move{branch: gitrepo.Main, after: at}
		if len(c.Parents) > 0 {
			m.before = c.Parents[0]
		}
		before = append(before, m)
		at = m.before
	}
	slices.Reverse(before)
	return append(before, earlier...), true, nil
}

// stream writes server-sent events.
type stream struct {
	w       io.Writer
	control *http.ResponseController
}

// newStream begins the answer. From here on no limit of the server's time
// holds, but that on each event.
func newStream(w http.ResponseWriter) (*stream, error) {
	s := &stream{w: w, control: http.NewResponseController(w)}
	if err := unlessUnsupported(s.control.SetReadDeadline(time.Time{})); err != nil {
		return nil, fmt.Errorf("govcd: begin stream: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_ = s.send(": listening\n\n") // who is gone already is found by the next
	return s, nil
}

// event sends one event; an error says that the reader is gone.
func (s *stream) event(kind, id string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("govcd: encode event: %w", err)
	}
	var b strings.Builder
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + kind + "\ndata: ")
	b.Write(body)
	b.WriteString("\n\n")
	return s.send(b.String())
}

func (s *stream) send(text string) error {
	if err := unlessUnsupported(s.control.SetWriteDeadline(time.Now().Add(eventTimeout))); err != nil {
		return err
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return unlessUnsupported(s.control.Flush())
}

// unlessUnsupported drops the error of a connection that has no such control.
func unlessUnsupported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
