package drafts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
)

// writerDir names the folder in which a copy of the test binary saves one draft
// after another, to be killed.
const writerDir = "CAIATOP_TEST_DRAFTS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		saveForever(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var at = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

func draftOf(t testing.TB, id, owner, text string) Draft {
	t.Helper()
	files := map[string][]byte{document.MetadataFile: []byte(`{"id":` + strconv.Quote(id) + `,"source":{"type":"text","path":"a/b"},
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","ours":{"unknown":[1.50]},
		"metadata":{"n":12345678901234567890.12345678901234567890,"s":"<&>"}}`), document.TextFile: []byte(text)}
	doc, err := document.FromFiles(files, document.Type{})
	if err != nil {
		t.Fatal(err)
	}
	return Draft{ID: doc.ID, Base: document.Hash{1, 2}, Document: doc, At: at, Owner: owner}
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func list(t testing.TB, s *Store) []Draft {
	t.Helper()
	out, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func save(t testing.TB, s *Store, d Draft) {
	t.Helper()
	if err := s.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestADraftComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, filepath.Join(t.TempDir(), "state", "drafts"))
		d := draftOf(t, "a", string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(rt, "owner")), string(rapid.SliceOf(rapid.Byte()).Draw(rt, "text")))
		if raw := rapid.SliceOf(rapid.Byte()).Draw(rt, "raw"); len(raw) > 0 {
			d.Document.Content.Raw = raw
		}
		d.New = rapid.Bool().Draw(rt, "new")
		if d.New {
			d.Base = document.Hash{}
		}
		want, err := d.Document.Hash()
		if err != nil {
			rt.Fatal(err)
		}
		save(t, s, d)
		all := list(t, s)
		if len(all) != 1 {
			rt.Fatalf("%d drafts", len(all))
		}
		got := all[0]
		// The hash is over all of a document but its form as JSON.
		if hash, err := got.Document.Hash(); err != nil || hash != want {
			rt.Fatalf("another version: %+v, want %+v, %v", got.Document, d.Document, err)
		}
		if got.Document.Content.Text != d.Document.Content.Text || !bytes.Equal(got.Document.Content.Raw, d.Document.Content.Raw) {
			rt.Fatalf("got %+v\nwant %+v", got.Document, d.Document)
		}
		got.Document, d.Document = document.Document{}, document.Document{}
		if !reflect.DeepEqual(got, d) {
			rt.Fatalf("got %+v\nwant %+v", got, d)
		}
	})
}

func TestDraftsAreKeptApartAndListedNewestFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "drafts")
	s := open(t, dir)
	// Together, the id and the owner of the second and the third are the same.
	for i, who := range [][2]string{{"a", "me"}, {"ab", "c"}, {"a", "bc"}, {"a", ""}, {strings.Repeat("é", 100), strings.Repeat("/", MaxOwner)}} {
		d := draftOf(t, who[0], who[1], fmt.Sprint(i))
		d.At = at.Add(time.Duration(i) * time.Second)
		save(t, s, d)
	}
	later := draftOf(t, "a", "me", "replaced")
	later.At = at.Add(time.Hour)
	save(t, s, later)
	s = open(t, dir)
	var got []string
	for _, d := range list(t, s) {
		got = append(got, d.Document.Content.Text)
	}
	if want := "replaced 4 3 2 1"; strings.Join(got, " ") != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	for range 2 { // twice: what is gone may be dropped
		if err := s.Drop(t.Context(), later.ID, "me"); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, s); len(got) != 4 || got[0].Document.Content.Text != "4" {
		t.Fatalf("after the drop: %+v", got)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, fileName(later.ID, "")): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestSaveRefuses(t *testing.T) {
	s := open(t, t.TempDir())
	for name, change := range map[string]func(*Draft){
		"no id":         func(d *Draft) { d.ID = document.ID{} },
		"another id":    func(d *Draft) { d.ID = draftOf(t, "b", "", "").ID },
		"a long owner":  func(d *Draft) { d.Owner = strings.Repeat("x", MaxOwner+1) },
		"a time":        func(d *Draft) { d.At = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"metadata":      func(d *Draft) { d.Document.Content.Metadata = map[string]any{"f": func() {}} },
		"a huge text":   func(d *Draft) { d.Document.Content.Text = strings.Repeat("x", 2*document.MaxContent) },
		"metadata time": func(d *Draft) { d.Document.CreatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		d := draftOf(t, "a", "", "x")
		change(&d)
		if err := s.Save(t.Context(), d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := list(t, s); len(got) != 0 {
		t.Errorf("kept %+v", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Save(gone, draftOf(t, "a", "", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTheNumberOfDraftsIsBounded(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range MaxDrafts {
		save(t, s, draftOf(t, fmt.Sprint("d", i), "", ""))
	}
	if err := s.Save(t.Context(), draftOf(t, "more", "", "")); !errors.Is(err, ErrFull) {
		t.Fatalf("one past the limit: %v", err)
	}
	save(t, s, draftOf(t, "d7", "", "replaced")) // in place of one
	if err := s.Drop(t.Context(), draftOf(t, "d1", "", "").ID, ""); err != nil {
		t.Fatal(err)
	}
	save(t, s, draftOf(t, "more", "", ""))
}

func TestTheBytesOfDraftsAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d := draftOf(t, "a", "", "x")
	data, err := encode(d)
	if err != nil {
		t.Fatal(err)
	}
	// A sparse file takes all the room but what the draft needs.
	big := filepath.Join(dir, "other"+suffix)
	for room, want := range map[int64]error{int64(len(data)): nil, int64(len(data)) - 1: ErrFull} {
		if err := os.WriteFile(big, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(big, MaxBytes-room); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), d); !errors.Is(err, want) {
			t.Errorf("room for %d bytes of %d: %v", room, len(data), err)
		}
	}
}

// Whatever a draft's file was made into, its bytes are still there and no draft
// is made of them.
func TestDamagedFilesAreSetAsideAndKept(t *testing.T) {
	whole, err := encode(draftOf(t, "a", "me", "text"))
	if err != nil {
		t.Fatal(err)
	}
	name := fileName(draftOf(t, "a", "", "").ID, "me")
	flipped := []byte(string(whole))
	flipped[len(flipped)/2] ^= 1
	for what, data := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)-1], "flipped": flipped, "zeroes": make([]byte, len(whole)), "longer": append(flipped[:0:0], append(whole, ' ')...),
		"of another": whole,
	} {
		dir := t.TempDir()
		file := name
		if what == "of another" {
			file = strings.Repeat("0", 64) + suffix
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // an earlier one is listed again and not replaced
			s := open(t, dir)
			damaged := s.Damaged()
			if len(damaged) != 1 || len(list(t, s)) != 0 {
				t.Fatalf("%s: %+v", what, damaged)
			}
			if got, err := os.ReadFile(damaged[0].Path); err != nil || string(got) != string(data) {
				t.Fatalf("%s: %q, %v", what, got, err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("again"), 0o600); err != nil {
			t.Fatal(err)
		}
		if damaged := open(t, dir).Damaged(); len(damaged) != 2 || damaged[0].Path == damaged[1].Path {
			t.Fatalf("%s twice: %+v", what, damaged)
		}
	}
}

func TestADraftDamagedAfterOpenIsSetAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	d := draftOf(t, "a", "", "x")
	save(t, s, d)
	save(t, s, draftOf(t, "b", "", "y"))
	if err := os.WriteFile(filepath.Join(dir, fileName(d.ID, "")), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s); len(got) != 1 || got[0].Document.Content.Text != "y" || len(s.Damaged()) != 1 || !errors.Is(s.Damaged()[0].Err, ErrDamaged) {
		t.Fatalf("%+v, %+v", got, s.Damaged())
	}
	save(t, s, d)
	if got := list(t, s); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
}

// A crash between two writes leaves a temporary file of any length beside the
// draft before, or all of it.
func TestWhatACrashLeaves(t *testing.T) {
	older, newer := draftOf(t, "a", "", "older"), draftOf(t, "a", "", "newer")
	newer.At = at.Add(time.Second)
	data, err := encode(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, len(magic), len(magic) + 70, len(data) - 1, len(data)} {
		for _, before := range []string{"nothing", "older", "newer"} {
			dir := t.TempDir()
			s := open(t, dir)
			want := ""
			switch before {
			case "older":
				save(t, s, older)
				want = "older"
			case "newer":
				save(t, s, newer)
				want = "newer"
			}
			if err := os.WriteFile(filepath.Join(dir, "."+fileName(newer.ID, "")+".tmp-0123"), data[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if n == len(data) {
				want = "newer"
			}
			s = open(t, dir)
			got := ""
			for _, d := range list(t, s) {
				got += d.Document.Content.Text
			}
			if got != want || (n < len(data)) != (len(s.Damaged()) == 1) {
				t.Errorf("%d of %d bytes beside %s: %q, set aside %+v", n, len(data), before, got, s.Damaged())
			}
		}
	}
}

func TestWhatACrashLeftNeverReplacesANewerDraft(t *testing.T) {
	dir := t.TempDir()
	older, newer := draftOf(t, "a", "", "older"), draftOf(t, "a", "", "newer")
	newer.At = at.Add(time.Second)
	save(t, open(t, dir), newer)
	data, err := encode(older)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "."+fileName(older.ID, "")+".tmp-0123"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, open(t, dir)); len(got) != 1 || got[0].Document.Content.Text != "newer" {
		t.Fatalf("%+v", got)
	}
}

func TestAFullDiskKeepsTheDraftBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	save(t, s, draftOf(t, "a", "", "before"))
	s.write = func(path string, data []byte, perm os.FileMode) error {
		return fmt.Errorf("write %s: %w", path, durable.ErrDiskFull)
	}
	if err := s.Save(t.Context(), draftOf(t, "a", "", "after")); !errors.Is(err, durable.ErrDiskFull) {
		t.Fatalf("got %v", err)
	}
	if got := list(t, s); len(got) != 1 || got[0].Document.Content.Text != "before" {
		t.Fatalf("%+v", got)
	}
}
