package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

func TestWritesReachEveryStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	ack := put(t, h, doc("a", "alpha"), doc("b", "beta"))
	if ack.Durability != PrimaryAndLocal || len(ack.Commit) != 40 || len(ack.OpIDs) != 2 {
		t.Errorf("acknowledged as %+v", ack)
	}
	wantText(t, h, "a", "alpha", probe.Govc)
	put(t, h, doc("a", "alpha two"))
	if _, err := h.Delete(t.Context(), mustID("b")); err != nil {
		t.Fatal(err)
	}
	wantText(t, h, "a", "alpha two", probe.Govc)
	if _, err := h.Get(t.Context(), mustID("b")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("b was deleted, got %v", err)
	}
	s := await(t, h, "every store in step", inStep)
	if s.Documents != 1 || strings.Join(s.Safe, "+") != "state+git" || strings.Join(s.Also, "+") != "govc" {
		t.Errorf("%d documents, safe %v, also %v", s.Documents, s.Safe, s.Also)
	}

	out := gitOutput(t, dir, "log", "--format=%B")
	for _, id := range ack.OpIDs {
		if !strings.Contains(out, "Op-Id: "+id) {
			t.Errorf("no commit names operation %s:\n%s", id, out)
		}
	}
	if !strings.Contains(out, "Outbox-Seq: "+h.o.State.StateID()+"/4") {
		t.Errorf("no commit names the outbox's operation 4:\n%s", out)
	}
	gitOutput(t, dir, "fsck", "--strict", "--full")
	found, err := h.Get(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if text := gitOutput(t, dir, "show", "main:"+found.Folder.String()+"/content.txt"); text != "alpha two" {
		t.Errorf("git holds %q", text)
	}
	there, err := outside(t, h, dir).Get(t.Context(), store.Key{ID: mustID("a"), Folder: found.Folder})
	if err != nil || there.Content.Text != "alpha two" {
		t.Errorf("govc holds %q, %v", there.Content.Text, err)
	}
}

func TestListAndSearch(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	put(t, h, doc("net~http~server.go", "package http listens"), doc("net~url.go", "package url escapes"), doc("zebra", "stripes"))
	await(t, h, "the text index in step", inStep)
	page, err := h.List(t.Context(), Query{Contains: "net~", Limit: 1})
	if err != nil || page.Total != 2 || len(page.Rows) != 1 || page.Rows[0].ID.String() != "net~http~server.go" {
		t.Errorf("%+v, %v", page, err)
	}
	hits, err := h.Search(t.Context(), "package esc", 10)
	if err != nil || len(hits) != 1 || hits[0].Row.ID.String() != "net~url.go" {
		t.Fatalf("%+v, %v", hits, err)
	}
	if want := MarkStart + "escapes" + MarkEnd; !strings.Contains(hits[0].Snippet, want) {
		t.Errorf("snippet %q does not mark the word", hits[0].Snippet)
	}
	if _, err := h.Delete(t.Context(), mustID("net~url.go")); err != nil {
		t.Fatal(err)
	}
	if hits, err = h.Search(t.Context(), "escapes", 10); err != nil || len(hits) != 0 {
		t.Errorf("a deleted document is found: %+v, %v", hits, err)
	}
}

func TestOutageOfTheServiceLosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("kept in its folder", func(t *testing.T) { outage(t, setup(t.TempDir())) })
	t.Run("kept in memory", func(t *testing.T) { outage(t, forgetful(t.TempDir())) })
}

func outage(t *testing.T, setup Setup) {
	h := start(t, setup)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("before", "one"))
	drill(t, h, Drill{Kind: DrillDown})
	s := awaitState(t, h, StateFallback)
	if govc := s.Stores[0]; !govc.Unknown {
		t.Errorf("the service is down and empty, yet its store reads %+v", govc)
	}
	if !strings.Contains(s.Reason, "refused") || s.Switches != 1 || s.Service.Drill != DrillDown || s.Drill.Kind != DrillDown {
		t.Errorf("FALLBACK because %q, %d switches", s.Reason, s.Switches)
	}
	ack := put(t, h, doc("during", "two"), doc("before", "one changed"))
	if ack.Durability != Local || ack.Commit != "" {
		t.Errorf("acknowledged as %+v", ack)
	}
	wantText(t, h, "during", "two", probe.State, probe.Git)
	wantText(t, h, "before", "one changed", probe.State, probe.Git)
	await(t, h, "two pending operations", func(s *Stats) bool { return s.Outbox.Pending == 2 })
	if err := h.Recover(t.Context(), false); err == nil {
		t.Error("a service that was taken down was taken back")
	}

	endDrill(t, h)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "an empty outbox", inStep)
	if again := slices.Contains(copied(h), "Copied 2 documents to govc"); again != setup.Memory {
		t.Errorf("the service kept its memory: %v; everything was copied: %v", !setup.Memory, again)
	}
	wantText(t, h, "during", "two", probe.Govc)
	wantText(t, h, "before", "one changed", probe.Govc)
}

func TestOperatorLeavesAndComesBack(t *testing.T) {
	t.Parallel()
	h := start(t, setup(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ack := put(t, h, doc("a", "two")); ack.Durability != Local {
		t.Errorf("acknowledged as %+v", ack)
	}
	wantText(t, h, "a", "two", probe.State, probe.Git)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s := awaitState(t, h, StatePrimary)
	for _, ev := range s.Events {
		if ev.Kind == "reseed" && strings.Contains(ev.Text, "Copied 1") {
			t.Errorf("the service kept its data, yet everything was copied: %s", ev.Text)
		}
	}
	wantText(t, h, "a", "two", probe.Govc)
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	var docs []document.Document
	for i := range 300 {
		docs = append(docs, doc(fmt.Sprintf("doc-%03d", i), fmt.Sprintf("text %d", i)))
	}
	put(t, h, docs...)
	stop(t, h)

	h = start(t, setup(dir))
	s := awaitState(t, h, StatePrimary)
	if s.Documents != 300 {
		t.Errorf("%d documents", s.Documents)
	}
	wantText(t, h, "doc-299", "text 299", probe.Govc)
	client := outside(t, h, dir)
	n := 0
	for _, err := range client.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 300 {
		t.Errorf("the service lists %d documents", n)
	}
}

func TestASecondProcessIsToldWhoHoldsTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, setup(dir))
	_, err := Start(t.Context(), setup(dir))
	var held *durable.LockedError
	if !errors.As(err, &held) || held.PID != os.Getpid() {
		t.Errorf("got %v", err)
	}
}

func TestOneShotStopsAtStateFileAndGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Detached = true
	h := start(t, s)
	put(t, h, doc("a", "one"))
	if err := h.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.Stats().State != StateNone {
		t.Errorf("state %s", h.Stats().State)
	}
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")

	h = start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	wantText(t, h, "a", "one", probe.Govc)
}

func TestALostStateFileIsMadeAnewFromGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	put(t, h, doc("a", "one"), doc("b", "two"))
	stop(t, h)
	for _, name := range []string{"state.db", "state.db-wal", "state.db-shm", "derived.db"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	h = start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	await(t, h, "two documents", func(s *Stats) bool { return s.Documents == 2 && inStep(s) })
	wantText(t, h, "a", "one")
	hits, err := h.Search(t.Context(), "two", 10)
	if err != nil || len(hits) != 1 {
		t.Errorf("search finds %+v, %v", hits, err)
	}
}

func TestALostGitFolderIsFilledAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remote := service(t, "k")
	s := setup(dir)
	s.URL, s.APIKey = remote, "k"
	h := start(t, s)
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	await(t, h, "every store in step", inStep)
	stop(t, h)
	if err := os.RemoveAll(filepath.Join(dir, GitDir)); err != nil {
		t.Fatal(err)
	}
	h = start(t, s)
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	stop(t, h)
	gitOutput(t, dir, "fsck", "--strict", "--full")
	if names := gitOutput(t, dir, "ls-tree", "-r", "--name-only", "main"); strings.Count(names, "/content.txt") != 2 {
		t.Errorf("git holds:\n%s", names)
	}
}

func TestAnOldStateFileIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := setup(dir)
	s.Detached = true
	h := start(t, s)
	put(t, h, doc("a", "one"))
	stop(t, h)
	old, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	h = start(t, s)
	put(t, h, doc("a", "two"))
	stop(t, h)
	if err := os.WriteFile(filepath.Join(dir, "state.db"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), s); !errors.Is(err, store.ErrIdentity) {
		t.Errorf("got %v", err)
	}
}

func TestPutRefusesWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := setup(t.TempDir())
	s.Detached = true
	h := start(t, s)
	large := doc("large", strings.Repeat("x", document.MaxContent+1))
	untyped := document.Document{ID: mustID("untyped")}
	for name, docs := range map[string][]document.Document{
		"nothing": nil, "too large": {large}, "no type": {untyped}, "twice": {doc("a", "1"), doc("a", "2")},
		"too many": make([]document.Document, MaxBatch+1),
	} {
		if _, err := h.Put(t.Context(), docs...); !errors.Is(err, document.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Delete(t.Context(), mustID("nobody")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("delete of what is not there: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Put(ended, doc("a", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if n := h.o.State.Summary().Documents; n != 0 {
		t.Errorf("%d documents were written", n)
	}
}
