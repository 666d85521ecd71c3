package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

// model is the state file as maps: what every answer is compared with.
type model struct {
	maxSeq  int64
	rows    map[string]Row
	ops     []modelOp // all ever issued, in order
	cursors map[string]int64
	trimmed int64
	parked  map[[2]string]int64 // id, store
}

type modelOp struct {
	Operation
	seq     int64
	payload int64
	commit  string
	dropped bool
}

func (m *model) kept() []modelOp { return m.ops[m.trimmed:] }

func (m *model) append(op Operation) {
	id := op.Key.ID.String()
	row, known := m.rows[id]
	if op.Doc == nil && !known {
		return
	}
	m.maxSeq++
	entry := modelOp{Operation: op, seq: m.maxSeq, commit: op.Commit}
	if op.Doc == nil {
		row.Deleted, row.Hash, row.Size, row.UpdatedAt = true, document.Hash{}, 0, op.At
	} else {
		if !known {
			row.Folder = op.Key.Folder
		}
		d := op.Doc
		row.ID, row.Type, row.Source, row.Size, row.Deleted = d.ID, d.Source.Type, d.Source.URL, d.Content.Size(), false
		row.CreatedAt, row.UpdatedAt, row.Hash = d.CreatedAt, d.UpdatedAt, op.Hash
		if op.Commit == "" {
			entry.payload = int64(len(must(encodePayload(*d))))
		}
	}
	row.Seq, row.Commit = m.maxSeq, op.Commit
	m.rows[id] = row
	m.ops = append(m.ops, entry)
}

func (m *model) advance(a Advance) {
	from := m.cursors[a.Store]
	for _, p := range a.Park {
		key := [2]string{p.ID.String(), p.Store}
		m.parked[key] = max(m.parked[key], p.Seq)
	}
	for i := range m.ops {
		op := &m.ops[i]
		if op.seq <= from || op.seq > a.Seq {
			continue
		}
		id := op.Key.ID.String()
		if key := [2]string{id, a.Store}; m.parked[key] < op.seq {
			delete(m.parked, key)
		}
		if a.Commit == "" {
			continue
		}
		op.commit, op.dropped = a.Commit, true
		if row := m.rows[id]; row.Seq == op.seq {
			row.Commit = a.Commit
			m.rows[id] = row
		}
	}
	m.cursors[a.Store] = max(from, a.Seq)
	before := m.trimmed
	m.trimmed = max(before, slices.Min(slices.Collect(maps.Values(m.cursors))))
	for _, op := range m.ops[before:m.trimmed] {
		id := op.Key.ID.String()
		row, known := m.rows[id]
		if known && row.Deleted && row.Seq == op.seq && !m.isParked(id) {
			delete(m.rows, id)
		}
	}
}

func (m *model) isParked(id string) bool {
	for key := range m.parked {
		if key[0] == id {
			return true
		}
	}
	return false
}

func (m *model) summary() Summary {
	s := Summary{MaxSeq: m.maxSeq, Parked: int64(len(m.parked))}
	for _, row := range m.rows {
		if !row.Deleted {
			s.Documents++
			s.Bytes += row.Size
		}
	}
	kept := m.kept()
	for i := range kept {
		if !kept[i].dropped {
			s.PayloadBytes += kept[i].payload
		}
	}
	return s
}

var modelIDs = []string{"a", "b", "c", "d-1", "d-2", "ü", "Z"}

var modelStores = []string{"govc", "git", "text"}

func TestAgainstModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		checkModel(t, rt, fmt.Sprintf("%s/%d", dir, run))
	})
}

func checkModel(t *testing.T, rt *rapid.T, dir string) {
	mkdir(t, dir)
	db := openUnsynced(t, dir)
	defer func() {
		if err := db.Close(); err != nil {
			rt.Error(err)
		}
	}()
	m := &model{rows: map[string]Row{}, cursors: map[string]int64{}, parked: map[[2]string]int64{}}
	for _, name := range modelStores {
		mustAttach(t, db, name)
		m.cursors[name] = 0
	}
	n := 0
	rt.Repeat(map[string]func(*rapid.T){
		"append": func(rt *rapid.T) {
			var ops []Operation
			for range rapid.IntRange(1, 4).Draw(rt, "count") {
				n++
				ops = append(ops, drawOperation(rt, n))
			}
			mustAppend(t, db, ops...)
			for _, op := range ops {
				m.append(op)
			}
		},
		"bulk": func(rt *rapid.T) { // more than one chunk
			if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
				rt.Skip()
			}
			var ops []Operation
			for i := range advanceChunk + 1 {
				n++
				ops = append(ops, put(fmt.Sprintf("op-%d", n), modelIDs[i%len(modelIDs)], fmt.Sprint(n)))
			}
			mustAppend(t, db, ops...)
			for _, op := range ops {
				m.append(op)
			}
		},
		"advance": func(rt *rapid.T) {
			a := drawAdvance(rt, m)
			mustAdvance(t, db, a)
			m.advance(a)
		},
		"reopen": func(rt *rapid.T) {
			if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
				rt.Skip()
			}
			if err := db.Close(); err != nil {
				rt.Fatal(err)
			}
			db = openUnsynced(t, dir)
		},
		"": func(rt *rapid.T) { compare(t, rt, db, m) },
	})
}

// openUnsynced opens a state file that need not survive a power cut: the model
// knows nothing of disks, and thousands of syncs take minutes.
func openUnsynced(t *testing.T, dir string) *DB {
	db := must(Open(t.Context(), dir, Options{}))
	if _, err := db.conn.ExecContext(t.Context(), `PRAGMA synchronous = OFF`); err != nil {
		t.Fatal(err)
	}
	return db
}

func drawOperation(rt *rapid.T, n int) Operation {
	id := rapid.SampledFrom(modelIDs).Draw(rt, "id")
	op := fmt.Sprintf("op-%d", n)
	switch rapid.IntRange(0, 4).Draw(rt, "kind") {
	case 0, 1:
		return remove(op, id)
	case 2:
		inbound := put(op, id, fmt.Sprint(n))
		inbound.Origin, inbound.Commit = "git", fmt.Sprintf("%040d", n)
		return inbound
	}
	return put(op, id, strings.Repeat("x", n%50))
}

func drawAdvance(rt *rapid.T, m *model) Advance {
	name := rapid.SampledFrom(modelStores).Draw(rt, "store")
	from := m.cursors[name]
	a := Advance{Store: name, Seq: rapid.Int64Range(from, m.maxSeq).Draw(rt, "seq")}
	if name == "git" {
		a.Commit = fmt.Sprintf("%040x", a.Seq)
	}
	for _, op := range m.ops[from:a.Seq] {
		if rapid.IntRange(0, 9).Draw(rt, "park") == 0 {
			a.Park = append(a.Park, Parked{Store: name, ID: op.Key.ID, Seq: op.seq, OpID: op.OpID, Reason: "refused", At: epoch})
		}
	}
	return a
}

func compare(t *testing.T, rt *rapid.T, db *DB, m *model) {
	if got, want := db.Summary(), m.summary(); got != want {
		rt.Fatalf("summary %+v, want %+v", got, want)
	}
	for name, seq := range m.cursors {
		if got, attached := db.Cursor(name); got != seq || !attached {
			rt.Fatalf("cursor of %s %d %v, want %d", name, got, attached, seq)
		}
	}
	var alive []Row
	for _, id := range slices.Sorted(slices.Values(modelIDs)) {
		want, known := m.rows[id]
		got, err := db.Lookup(t.Context(), idOf(id))
		if known && (err != nil || got != want) || !known && !errors.Is(err, store.ErrNotFound) {
			rt.Fatalf("lookup %s: %+v, %v, want %+v %v", id, got, err, want, known)
		}
		if known && !want.Deleted {
			alive = append(alive, want)
		}
		compareNewest(t, rt, db, m, id)
	}
	comparePages(t, rt, db, alive)
	compareOutbox(t, rt, db, m)
}

func comparePages(t *testing.T, rt *rapid.T, db *DB, alive []Row) {
	scanned, err := db.Scan(t.Context(), "", 100)
	if err != nil || !slices.Equal(scanned, alive) {
		rt.Fatalf("scan %+v, %v, want %+v", scanned, err, alive)
	}
	for _, q := range []PageQuery{{Limit: 3}, {Offset: 2, Limit: 2}, {Contains: "d-", Limit: 9}, {Type: "text", Offset: 1, Limit: 9}, {Type: "pdf", Limit: 9}} {
		match := slices.Clone(alive)
		match = slices.DeleteFunc(match, func(r Row) bool {
			return !strings.Contains(r.ID.String(), q.Contains) || q.Type != "" && r.Type.String() != q.Type
		})
		total := int64(len(match))
		match = match[min(q.Offset, len(match)):]
		match = match[:min(q.Limit, len(match))]
		rows, n, err := db.Page(t.Context(), q)
		if err != nil || n != total || !slices.Equal(rows, match) {
			rt.Fatalf("page %+v: %+v of %d, %v, want %+v of %d", q, rows, n, err, match, total)
		}
	}
}

func compareNewest(t *testing.T, rt *rapid.T, db *DB, m *model, id string) {
	var want *modelOp
	kept := m.kept()
	for i := len(kept) - 1; i >= 0 && want == nil; i-- {
		if kept[i].Key.ID.String() == id {
			want = &kept[i]
		}
	}
	got, found, err := db.Newest(t.Context(), idOf(id))
	if err != nil || found != (want != nil) || found && !sameOp(got, *want) {
		rt.Fatalf("newest of %s: %+v, %v, %v, want %+v", id, got, found, err, want)
	}
	versions := slices.DeleteFunc(slices.Clone(kept), func(op modelOp) bool { return op.Key.ID.String() != id || op.Doc == nil })
	err = db.EachIssued(t.Context(), idOf(id), func(op Outgoing) error {
		if len(versions) == 0 || !sameOp(op, versions[0]) {
			return fmt.Errorf("got %+v, want the first of %+v", op, versions)
		}
		versions = versions[1:]
		return nil
	})
	if err != nil || len(versions) > 0 {
		rt.Fatalf("issued of %s: %v, %+v are missing", id, err, versions)
	}
	all, err := db.ParkedAt(t.Context(), idOf(id))
	if err != nil {
		rt.Fatal(err)
	}
	parked := 0
	for _, name := range modelStores {
		if m.parked[[2]string{id, name}] > 0 {
			parked++
		}
	}
	if len(all) != parked {
		rt.Fatalf("parked of %s: %+v, want %d", id, all, parked)
	}
	for _, p := range all {
		if m.parked[[2]string{id, p.Store}] != p.Seq {
			rt.Fatalf("parked of %s: %+v", id, p)
		}
	}
}

// compareOutbox reads all of a short outbox, and a stretch of a long one.
func compareOutbox(t *testing.T, rt *rapid.T, db *DB, m *model) {
	from := m.trimmed
	if len(m.kept()) > 20 {
		from = rapid.Int64Range(m.trimmed, m.maxSeq-1).Draw(rt, "from")
	}
	ops, err := db.Next(t.Context(), from, 20, 1<<20)
	if err != nil || int64(len(ops)) != min(20, m.maxSeq-from) {
		rt.Fatalf("next after %d of %d: %d operations, %v", from, m.maxSeq, len(ops), err)
	}
	for i, op := range ops {
		if want := m.ops[from+int64(i)]; !sameOp(op, want) {
			rt.Fatalf("operation %d: %+v, want %+v", want.seq, op, want)
		}
	}
	if ops, err := db.Next(t.Context(), 0, 1, 0); err != nil || len(ops) != int(min(1, m.maxSeq-m.trimmed)) || len(ops) == 1 && ops[0].Seq != m.trimmed+1 {
		rt.Fatalf("the first operation kept: %+v, %v, want %d", ops, err, m.trimmed+1)
	}
	at, found, err := db.Oldest(t.Context(), m.trimmed)
	if err != nil || found != (m.trimmed < m.maxSeq) || found && !at.Equal(epoch) {
		rt.Fatalf("oldest %v, %v, %v", at, found, err)
	}
}

func sameOp(got Outgoing, want modelOp) bool {
	same := got.Seq == want.seq && got.OpID == want.OpID && got.Key.ID == want.Key.ID && got.Delete == (want.Doc == nil) &&
		got.Hash == want.Hash && got.Commit == want.commit && got.Origin == want.Origin
	if hasDoc := want.payload > 0 && !want.dropped; !same || (got.Doc != nil) != hasDoc {
		return false
	}
	return got.Doc == nil || must(got.Doc.Hash()) == want.Hash
}
