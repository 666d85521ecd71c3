package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// rest takes every fault away and waits until everything is in step.
func (m *model) rest() error {
	m.w.link.set(linkWell, 0)
	pass(5 * time.Second) // what was done to the service is noticed by then
	deadline := time.Now().Add(modelPatience)
	for time.Now().Before(deadline) {
		s := m.w.host.Stats()
		switch {
		case healthyAndInStep(s):
			return nil
		case m.w.host.held():
			if err := m.command(func(ctx context.Context) error { return m.w.host.Recover(ctx, false) }); err != nil {
				return err
			}
		case s.State == StateLocked:
			return fmt.Errorf("locked: %s", s.Reason)
		}
		pass(time.Second)
	}
	s := m.w.host.Stats()
	return fmt.Errorf("not at rest after %s without a fault: %s (%s), outbox %+v, stores %+v, %d parked", modelPatience, s.State, s.Reason, s.Outbox, s.Stores, s.Parked)
}

// look compares what every store has with what must be true.
func (m *model) look() error {
	for k := range modelDocs { // what strangers wrote is noticed by reading
		if _, err := m.w.host.Get(context.Background(), mustID(docID(k))); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if err := m.rest(); err != nil {
		return err
	}
	if m.w.host.Stats().Parked > 0 { // what a fault refused is tried again whenever the service comes back
		err := m.command(m.w.host.Fallback)
		if err == nil {
			err = m.rest()
		}
		if err != nil {
			return err
		}
	}
	if n := m.w.host.Stats().Parked; n > 0 {
		return fmt.Errorf("%d operations are set aside: %v", n, m.w.host.Stats().Events)
	}
	var all []error
	for k := range modelDocs {
		if err := m.lookAt(k); err != nil {
			all = append(all, fmt.Errorf("%s: %w", docID(k), err))
		}
	}
	return errors.Join(all...)
}

// lookAt compares one document.
func (m *model) lookAt(k int) error {
	ctx := context.Background()
	found, err := m.w.host.Get(ctx, mustID(docID(k)))
	there := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	copies, err := m.copiesOf(k)
	if err != nil {
		return err
	}
	text := found.Document.Content.Text
	if there {
		at, err := m.w.atService(ctx, store.Key{ID: mustID(docID(k)), Folder: found.Folder})
		if err != nil || at != text {
			return fmt.Errorf("it reads as %q, but the service has %q, %w", text, at, err)
		}
	}
	last, written := m.last[k]
	theirs, strange := m.theirs[k]
	possible := slices.Clone(m.maybe[k])
	if written {
		possible = append(possible, last)
	}
	if !strange {
		return m.lookAtOurs(there, text, copies, possible)
	}
	have := append(copies, text)
	has := func(f fact) bool { return slices.Contains(have, f.text) }
	seen := written && last.at < theirs.at && m.over[k] == last.text // what a stranger had before him is his to change
	if written && !last.gone && !seen && !slices.ContainsFunc(possible, func(f fact) bool { return !f.gone && has(f) || f.gone && f.at > last.at }) {
		return fmt.Errorf("acknowledged was %s, there is %q", last, have)
	}
	overwritten := slices.ContainsFunc(possible, func(f fact) bool { return f.at > theirs.at })
	if !overwritten && !theirs.forgotten && !has(theirs) {
		return fmt.Errorf("a stranger wrote %s, there is %q; ours were %v", theirs, have, possible)
	}
	return nil
}

// lookAtOurs is lookAt for a document that nobody else wrote.
func (m *model) lookAtOurs(there bool, text string, copies []string, possible []fact) error {
	if len(copies) > 0 {
		return fmt.Errorf("nobody else wrote, but there are conflict copies: %q", copies)
	}
	ok := len(possible) == 0 && !there
	for _, f := range possible {
		ok = ok || f.gone == !there && f.text == text
	}
	if !ok {
		return fmt.Errorf("it is there: %v, as %q; it can only be %v", there, text, possible)
	}
	return nil
}

// copiesOf returns the texts of a document's conflict copies.
func (m *model) copiesOf(k int) (texts []string, err error) {
	page, err := m.w.host.List(context.Background(), Query{Contains: docID(k) + ".conflict-", Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, row := range page.Rows {
		found, err := m.w.host.Get(context.Background(), row.ID)
		if err != nil {
			return nil, err
		}
		texts = append(texts, found.Document.Content.Text)
	}
	return texts, nil
}

// lookAtGit lets real git judge the repository: it is whole, has each operation
// once, and the newest text of every document.
func (m *model) lookAtGit(t *testing.T) error {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", filepath.Join(m.w.dir, GitDir)}, args...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("git %v: %w\n%s", args, err, out)
		}
		return string(out), nil
	}
	if _, err := git("fsck", "--strict", "--full"); err != nil {
		return err
	}
	if len(m.last) == 0 {
		return nil
	}
	out, err := git("log", "--format=%(trailers:key=Op-Id,valueonly)")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for id := range strings.FieldsSeq(out) {
		if seen[id] {
			return fmt.Errorf("operation %s was committed twice", id)
		}
		seen[id] = true
	}
	return nil
}
