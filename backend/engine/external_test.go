package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/govcd"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe"
)

// colleague is another client of the same repository.
func colleague(t *testing.T, url string) *govc.Client {
	t.Helper()
	c, err := govc.New(govc.Options{URL: url, Repo: "caia-documents", APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.EnsureRepo(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func writeThere(t *testing.T, c *govc.Client, key store.Key, d document.Document) {
	t.Helper()
	_, err := c.Apply(t.Context(), store.Batch{
		Ops: []store.Op{{Key: key, Doc: &d}}, Author: store.Author{Name: "Colleague", Email: "c@example.org"}, At: d.UpdatedAt,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func external(dir, url string) Setup {
	s := setup(dir)
	s.URL, s.APIKey = url, "k"
	return s
}

func TestBothSidesChangedKeepsBothVersions(t *testing.T) {
	t.Parallel()
	url := service(t, "k")
	h := start(t, external(t.TempDir(), url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"))
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, doc("a", "ours"))
	found, err := h.Get(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := found.Document.Clone()
	theirs.Content.Text = "theirs"
	c := colleague(t, url)
	key := store.Key{ID: theirs.ID, Folder: found.Folder}
	writeThere(t, c, key, theirs)

	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	wantText(t, h, "a", "theirs", probe.Govc)
	page, err := h.List(t.Context(), Query{Contains: ".conflict-"})
	if err != nil || page.Total != 1 {
		t.Fatalf("%d conflict copies, %v", page.Total, err)
	}
	wantText(t, h, page.Rows[0].ID.String(), "ours", probe.Govc)
	if there, err := c.Get(t.Context(), key); err != nil || there.Content.Text != "theirs" {
		t.Errorf("the service holds %q, %v", there.Content.Text, err)
	}
}

func TestAModifiedDocumentSurvivesADelete(t *testing.T) {
	t.Parallel()
	url := service(t, "k")
	h := start(t, external(t.TempDir(), url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "base"))
	found, err := h.Get(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Fallback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Delete(t.Context(), mustID("a")); err != nil {
		t.Fatal(err)
	}
	theirs := found.Document.Clone()
	theirs.Content.Text = "theirs"
	writeThere(t, colleague(t, url), store.Key{ID: theirs.ID, Folder: found.Folder}, theirs)
	if err := h.Recover(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "every store in step", inStep)
	wantText(t, h, "a", "theirs")
}

func TestAChangeByOthersIsNoticedOnRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := service(t, "k")
	h := start(t, external(dir, url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "ours"))
	found, err := h.Get(t.Context(), mustID("a"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := found.Document.Clone()
	theirs.Content.Text = "theirs"
	writeThere(t, colleague(t, url), store.Key{ID: theirs.ID, Folder: found.Folder}, theirs)
	wantText(t, h, "a", "theirs", probe.Govc)
	await(t, h, "every store in step", inStep)
	if text := gitOutput(t, dir, "show", "main:"+found.Folder.String()+"/content.txt"); text != "theirs" {
		t.Errorf("git holds %q", text)
	}
}

func TestANewStateJoinsARepositoryThatIsMarked(t *testing.T) {
	t.Parallel()
	url := service(t, "k")
	first := start(t, external(t.TempDir(), url))
	awaitState(t, first, StatePrimary)
	put(t, first, doc("a", "one"))
	second := start(t, external(t.TempDir(), url))
	awaitState(t, second, StatePrimary)
	await(t, second, "one document", func(s *Stats) bool { return s.Documents == 1 && inStep(s) })
	wantText(t, second, "a", "one")
	put(t, second, doc("b", "two"))
	awaitState(t, first, StatePrimary)
	if s := first.Stats(); s.State != StatePrimary {
		t.Errorf("the first console is %s: %s", s.State, s.Reason)
	}
}

func TestAnotherRepositoryIsNeverWrittenTo(t *testing.T) {
	t.Parallel()
	one, two := service(t, "k"), service(t, "k")
	dir := t.TempDir()
	h := start(t, external(dir, one))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	stop(t, h)
	other := start(t, external(t.TempDir(), two))
	awaitState(t, other, StatePrimary)
	put(t, other, doc("b", "two"))

	// A typing mistake in the URL: the state of one meets the service two.
	h = start(t, external(dir, two))
	s := awaitState(t, h, StateLocked)
	if !strings.Contains(s.Reason, "another repository") || !strings.Contains(s.Next, "--adopt") {
		t.Errorf("LOCKED because %q, next %q", s.Reason, s.Next)
	}
	if ack := put(t, h, doc("c", "three")); ack.Durability != Local {
		t.Errorf("acknowledged as %+v", ack)
	}
	n := 0
	for _, err := range colleague(t, two).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("the other service now holds %d documents", n)
	}

	if err := h.Recover(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	await(t, h, "three documents in step", func(s *Stats) bool { return s.Documents == 3 && inStep(s) })
	for id, text := range map[string]string{"a": "one", "b": "two", "c": "three"} {
		wantText(t, h, id, text, probe.Govc)
	}
}

func TestRefusedCredentialsAreNotAnOutage(t *testing.T) {
	t.Parallel()
	s := external(t.TempDir(), service(t, "another key"))
	h := start(t, s)
	got := awaitState(t, h, StateLocked)
	if !strings.Contains(got.Reason, "credentials") || !strings.Contains(got.Next, "GOVC_API_KEY") {
		t.Errorf("LOCKED because %q, next %q", got.Reason, got.Next)
	}
	if ack := put(t, h, doc("a", "one")); ack.Durability != Local {
		t.Errorf("acknowledged as %+v", ack)
	}
}

func TestAnEmptyServiceIsNotFilledWithAStrangersDocuments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := external(dir, "http://127.0.0.1:1") // nobody listens
	h := start(t, s)
	awaitState(t, h, StateFallback)
	put(t, h, doc("a", "one"))
	stop(t, h)
	s.URL = service(t, "k")
	h = start(t, s)
	awaitState(t, h, StateLocked)
	if err := h.Recover(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	awaitState(t, h, StatePrimary)
	wantText(t, h, "a", "one", probe.Govc)
}

func TestAServiceThatRestartsEmptyIsFilledAgain(t *testing.T) {
	t.Parallel()
	h := start(t, forgetful(t.TempDir()))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"), doc("b", "two"))
	await(t, h, "every store in step", inStep)
	// Down and up again before a probe notices: only the marker tells.
	if err := h.o.Embedded.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := h.o.Embedded.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, h, "the refill", func(s *Stats) bool {
		for _, ev := range s.Events {
			if ev.Kind == "reseed" && strings.Contains(ev.Text, "Copied 2") {
				return s.State == StatePrimary
			}
		}
		return false
	})
	wantText(t, h, "a", "one", probe.Govc)
}

func TestWhatTheServiceCannotHoldIsKeptInGit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, setup(dir))
	awaitState(t, h, StatePrimary)
	// Bytes that are no text grow by a third on the wire, over its 10 MiB.
	large := doc("large", "")
	large.Content.Raw = []byte(strings.Repeat("\xff\x00", document.MaxContent/2))
	put(t, h, large, doc("small", "fits"))
	s := await(t, h, "every store in step but one", func(s *Stats) bool { return s.Parked == 1 && inStep(s) })
	if s.State != StatePrimary || len(s.Also) != 0 {
		t.Errorf("state %s, also %v", s.State, s.Also)
	}
	page, err := h.List(t.Context(), Query{Contains: "large"})
	if err != nil || len(page.Rows) != 1 || page.Rows[0].Govc != TooLarge {
		t.Errorf("%+v, %v", page.Rows, err)
	}
	found, err := h.Get(t.Context(), mustID("large"))
	if err != nil || found.ServedBy == probe.Govc || len(found.Document.Content.Raw) != document.MaxContent {
		t.Errorf("served by %s, %d bytes, %v", found.ServedBy, len(found.Document.Content.Raw), err)
	}
	wantText(t, h, "small", "fits", probe.Govc)
}

// TestAServiceThatRestartsBetweenTwoProbesIsTakenForTheOneBefore: it keeps its
// data no more, and is another build.
func TestAServiceThatRestartsBetweenTwoProbesIsTakenForTheOneBefore(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	open := func(o govcd.Options, addr string) (s *govcd.Service, url string) {
		t.Helper()
		o.Key = "k"
		s, err := govcd.Open(t.Context(), o)
		if err == nil {
			url, err = s.Start(addr)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s, url
	}
	end := func(s *govcd.Service) {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	s, url := open(govcd.Options{Data: data, Version: "1"}, "127.0.0.1:0")
	h := start(t, external(t.TempDir(), url))
	awaitState(t, h, StatePrimary)
	put(t, h, doc("a", "one"))
	addr := strings.TrimPrefix(url, "http://")
	version := "1"
	for _, o := range []govcd.Options{{Data: data, Version: "2"}, {Version: "3"}} {
		await(t, h, "a service that is older than the next one", func(s *Stats) bool {
			return s.Service.Health.Up && s.Service.Health.Version == version && s.Service.Health.Uptime > time.Second
		})
		version = o.Version
		end(s)
		s, _ = open(o, addr)
		await(t, h, "what the service is now", func(s *Stats) bool {
			return s.State == StatePrimary && s.Facts.Version == o.Version && s.Service.Durable == (o.Data != "")
		})
	}
	end(s)
}
