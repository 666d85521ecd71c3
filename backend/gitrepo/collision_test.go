package gitrepo

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// mined is a SHA-1 that finds the blocks of a collision in any content with a
// certain word. Nobody can make real ones behind the header of an object for
// less than some 2^63 hashes.
type mined struct {
	detecting
	found bool
}

var mine = []byte("a block of a collision")

func (m *mined) Reset() { m.found = false; m.detecting.Reset() }

func (m *mined) Write(b []byte) (int, error) {
	m.found = m.found || bytes.Contains(b, mine)
	return m.detecting.Write(b)
}

func (m *mined) CollisionResistantSum(b []byte) ([]byte, bool) {
	sum, _ := m.detecting.CollisionResistantSum(b)
	if m.found {
		sum[len(b)] ^= 1 // a safe sum, which is another one
	}
	return sum, m.found
}

// TestACollisionIsTakenForAnObject: attacks on SHA-1 were detected, and then
// nobody asked whether there was one.
func TestACollisionIsTakenForAnObject(t *testing.T) {
	ctx := context.Background()
	r, dir := disked(t)
	tip := commit(t, r, put(t, "docs/a", "harmless"), put(t, "docs/b", "before "+string(mine)+" after"))
	loose := blobOf("loose " + string(mine))
	addLoose(t, dir, loose.hash, append([]byte("blob 28\x00"), loose.data...))
	entry, err := r.Find(ctx, tip, path(t, "docs/b"))
	if err != nil {
		t.Fatal(err)
	}
	plain := newHash
	set := func(make func() detecting) {
		newHash = make
		hashers = sync.Pool{New: func() any { return &hasher{detecting: newHash()} }}
	}
	set(func() detecting { return &mined{detecting: plain()} })
	t.Cleanup(func() { set(plain) })

	names := func(err error, kind error, name string) {
		t.Helper()
		wantError(t, err, ErrCollision, name)
		if !errors.Is(err, kind) {
			t.Errorf("%v is no %v", err, kind)
		}
	}
	next := blobOf("next " + string(mine))
	_, err = r.Commit(ctx, CommitInput{Changes: []Change{put(t, "docs/c", string(next.data))}, Message: "x", Author: ann, At: when})
	names(err, ErrInvalid, "c: blob")
	if now, err := r.Tip(Main); err != nil || now != tip {
		t.Errorf("main is at %s, %v", now, err)
	}
	names(CheckContent(next.data), ErrInvalid, "blob of 27 bytes")
	_, err = r.ReadBlob(ctx, loose.hash)
	names(err, ErrCorrupt, loose.hash.String())
	_, _, err = r.Object(ctx, entry.Hash)
	names(err, ErrCorrupt, entry.Hash.String())
	to, _ := disked(t)
	_, err = to.ReceiveFrom(ctx, r, tip, nil)
	names(err, ErrCorrupt, entry.Hash.String())
	if err := os.Remove(filepath.Join(dir, "objects", loose.hash.String()[:2], loose.hash.String()[2:])); err != nil {
		t.Fatal(err)
	}
	report, err := r.Verify(ctx, VerifyOptions{})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Object != entry.Hash {
		t.Errorf("%+v, %v", report, err)
	}
	wantFile(t, r, tip, "docs/a", "harmless")
	commit(t, r, put(t, "docs/d", "goes on"))
}

// The 320 bytes with which the two files of the first published collision of
// SHA-1 begin (shattered.io) are found as such. Behind the header of an object
// they are none, and such a document is stored as any other.
func TestTheFirstCollisionIsAFileLikeAnyOther(t *testing.T) {
	data, err := hex.DecodeString(
		"255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020522f" +
			"537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f42697473506572" +
			"436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c4c97e1fffe01" +
			"7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2" +
			"3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1")
	if err != nil {
		t.Fatal(err)
	}
	h := newHash()
	if _, err := h.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, found := h.CollisionResistantSum(nil); !found {
		t.Error("the collision is not found")
	}
	if err := CheckContent(data); err != nil {
		t.Error(err)
	}
}
