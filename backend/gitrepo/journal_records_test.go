package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// recordsOf makes a segment with that many records and returns where each
// begins.
func recordsOf(t testing.TB, use, first uint64, n int) (data []byte, at []int, entries []entry) {
	t.Helper()
	head := segmentHead{use: use, nonce: 7 * use, first: first, state: stateLive}
	data = make([]byte, journalBlock)
	copy(data, head.append(nil))
	for i := range n {
		s, err := stage(plumbing.BlobObject, []byte(strings.Repeat(fmt.Sprint("text ", i), 300*i)))
		if err != nil {
			t.Fatal(err)
		}
		e := entry{number: first + uint64(i), ref: "refs/heads/main", old: fakeHash(byte(i + 1)), new: fakeHash(byte(i + 2)), objects: []staged{s}} //nolint:gosec // few
		record, _ := e.encode(head.nonce)
		at = append(at, len(data))
		data = append(data, record...)
		entries = append(entries, e)
	}
	return append(data, make([]byte, 3*journalBlock)...), at, entries
}

func TestRecordsOfTheJournalAreReadAsTheyWereWritten(t *testing.T) {
	data, _, want := recordsOf(t, 3, 10, 4)
	head, got, err := readSegment(data)
	if err != nil || head.use != 3 || head.first != 10 || len(got) != len(want) {
		t.Fatalf("%+v, %d records, %v", head, len(got), err)
	}
	for i, e := range got {
		w := want[i]
		if e.number != w.number || e.ref != w.ref || e.old != w.old || e.new != w.new ||
			e.objects[0].hash != w.objects[0].hash || !bytes.Equal(e.objects[0].data, w.objects[0].data) {
			t.Errorf("record %d is %+v", i, e)
		}
	}
}

// The last record may be torn anywhere: then it was not acknowledged. A record
// before it may not, and neither may the head.
func TestATornRecordIsDroppedAndADamagedOneIsSaid(t *testing.T) {
	data, at, _ := recordsOf(t, 1, 1, 4)
	for i, start := range at {
		for _, off := range []int{0, 8, 16, 24, 33, 37, recordHeading, recordHeading + 20, recordHeading + 60} {
			if i == 0 && off == recordHeading+60 {
				continue // the first object is empty
			}
			torn := bytes.Clone(data)
			torn[start+off] ^= 0x40
			_, got, err := readSegment(torn)
			if len(got) != i {
				t.Fatalf("byte %d of record %d: %d records, %v", off, i, len(got), err)
			}
			last := i == len(at)-1
			if last && err != nil || !last && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d of record %d: %v", off, i, err)
			}
			if !last && i > 0 && !strings.Contains(err.Error(), fakeHash(byte(i+1)).String()) {
				t.Fatalf("what is lost is not named: %v", err)
			}
		}
	}
	for _, cut := range []int{at[3] + 1, at[3] + journalBlock - 1, at[3] + recordHeading} {
		if _, got, err := readSegment(data[:cut]); err != nil || len(got) != 3 {
			t.Fatalf("cut at %d: %d records, %v", cut, len(got), err)
		}
	}
	for off := range headBytes {
		torn := bytes.Clone(data)
		torn[off] ^= 1
		if _, _, err := readSegment(torn); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of the head: %v", off, err)
		}
	}
	clear(data[journalBlock:])
	clear(data[:journalBlock])
	if _, got, err := readSegment(data); err != nil || len(got) > 0 {
		t.Fatalf("a file that was just made: %v", err)
	}
}

// Records of an earlier use of the file, and in the content of documents, are
// none.
func TestOnlyRecordsOfThisUseCount(t *testing.T) {
	old, _, _ := recordsOf(t, 1, 1, 3)
	data, at, _ := recordsOf(t, 2, 4, 1)
	copy(old, data[:at[0]+journalBlock])
	if _, got, err := readSegment(old); err != nil || len(got) != 1 || got[0].number != 4 {
		t.Fatalf("%v, %v", got, err)
	}
	void := segmentHead{use: 2, nonce: 14, first: 4, state: stateVoid}
	copy(old, void.append(nil))
	if _, got, err := readSegment(old); err != nil || len(got) > 0 {
		t.Fatalf("%v, %v", got, err)
	}
}

// What is missing between two segments was acknowledged: the second one was
// begun after it.
func TestADamagedEndOfTheOlderSegmentIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		second uint64
		damage bool
		want   error
	}{
		"whole":   {5, false, nil},
		"damaged": {5, true, ErrCorrupt},
		"gap":     {6, false, ErrCorrupt},
	} {
		dir, _, _ := crashed(t, put(t, "a", "1"))
		older, at, _ := recordsOf(t, 1, 1, 4)
		newer, _, _ := recordsOf(t, 2, c.second, 1)
		if c.damage {
			older[at[3]+recordHeading] ^= 1
		}
		for i, data := range [][]byte{newer, older} { // the order of use is not that of the names
			if err := os.WriteFile(segmentPath(dir, i), data, journalPerm); err != nil {
				t.Fatal(err)
			}
		}
		d := &diskRefs{dir: dir}
		paths, err := d.segments()
		if err != nil || len(paths) != 2 {
			t.Fatal(paths, err)
		}
		entries, _, err := d.records(paths)
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || len(entries) != 5 || entries[4].number != 5) {
			t.Errorf("%s: %d records, %v", name, len(entries), err)
		}
	}
}

// A repository whose journal is damaged is not opened for writing as if nothing
// was missing, and the branch is not touched.
func TestARepositoryWithADamagedJournalIsNotOpened(t *testing.T) {
	needGit(t)
	dir, before, _ := crashed(t, put(t, "a", strings.Repeat("1", 9000)), put(t, "b", "2"), put(t, "c", "3"))
	path := segmentPath(dir, 0)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[journalBlock+recordHeading+100] ^= 1
	write(t, path, string(data))
	for _, journal := range []bool{true, false} {
		if _, err := OpenDisk(dir, Options{Journal: journal}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Fatalf("journal %t: %v, want ErrCorrupt", journal, err)
		}
	}
	if now := git(t, dir, "rev-parse", "main"); now != before.String() {
		t.Fatalf("the branch is at %s", now)
	}
	if err := os.Rename(path, filepath.Join(t.TempDir(), "aside")); err != nil {
		t.Fatal(err)
	}
	r := journaledAt(t, dir)
	commit(t, r, put(t, "d", "4"))
}

// FuzzJournal reads the files of a journal: whatever is in them, it ends with
// records that are what their checksums say, or with a typed error.
func FuzzJournal(f *testing.F) {
	data, at, _ := recordsOf(f, 1, 1, 3)
	f.Add(data)
	f.Add(data[:at[2]+10])
	void := bytes.Clone(data)
	copy(void, segmentHead{use: 1, nonce: 7, first: 1, state: stateVoid}.append(nil))
	f.Add(void)
	f.Add(append(make([]byte, journalBlock), data[journalBlock:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		head, entries, err := readSegment(data)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("not typed: %v", err)
		}
		again := make([]byte, journalBlock)
		copy(again, head.append(nil))
		for i, e := range entries {
			if e.number != head.first+uint64(i) || checkRef(e.ref) != nil {
				t.Fatalf("record %d is %d of %q", i, e.number, e.ref)
			}
			record, _ := e.encode(head.nonce)
			again = append(again, record...)
		}
		if _, same, err := readSegment(again); len(entries) > 0 && (err != nil || len(same) != len(entries)) {
			t.Fatalf("written again: %d of %d records, %v", len(same), len(entries), err)
		}
	})
}

// FuzzJournalPayload reads records whose checksums are right.
func FuzzJournalPayload(f *testing.F) {
	_, _, entries := recordsOf(f, 1, 1, 3)
	for _, e := range entries {
		record, _ := e.encode(7)
		start, ok := parseRecordStart(record, 7)
		if !ok {
			f.Fatal("no record")
		}
		f.Add(record[recordHeading : recordHeading+start.size])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parsePayload(1, data)
		if err != nil {
			return
		}
		for _, o := range e.objects {
			if hashObject(o.kind, o.data) != o.hash {
				t.Fatal("an object has another's name")
			}
		}
	})
}
