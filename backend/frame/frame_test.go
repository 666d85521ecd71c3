package frame

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func hashes() *rapid.Generator[Hash] {
	return rapid.Custom(func(t *rapid.T) (h Hash) {
		for i := range h {
			h[i] = rapid.Byte().Draw(t, "byte")
		}
		return h
	})
}

func anyFiles() *rapid.Generator[[]File] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) File {
		name := strings.ReplaceAll(string(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "name")), "/", "_")
		return File{Name: name, Hash: hashes().Draw(t, "hash"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
	}), 0, 5)
}

func anyBatch() *rapid.Generator[Batch] {
	text := rapid.String()
	return rapid.Custom(func(t *rapid.T) Batch {
		b := Batch{Message: text.Draw(t, "message"), Author: text.Draw(t, "author"), Email: text.Draw(t, "email")}
		if rapid.Bool().Draw(t, "timed") {
			b.At = time.Unix(rapid.Int64Range(firstSecond+1, lastSecond).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
		}
		for range rapid.IntRange(0, 6).Draw(t, "items") {
			it := Item{
				Op: rapid.SampledFrom([]Op{Put, Delete}).Draw(t, "op"), Match: rapid.SampledFrom([]Match{Anything, Nothing, Exists, Blob}).Draw(t, "match"),
				NewFolder: rapid.Bool().Draw(t, "new folder"), Group: rapid.SampledFrom([]string{"", "1", "a group", strings.Repeat("x", 200)}).Draw(t, "group"), Path: text.Draw(t, "path"),
			}
			if it.Match == Blob {
				it.Base = hashes().Draw(t, "base")
			}
			if it.Op == Put {
				it.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "data")
			}
			b.Items = append(b.Items, it)
		}
		return b
	})
}

func anyMade() *rapid.Generator[Made] {
	return rapid.Custom(func(t *rapid.T) Made {
		m := Made{Commit: hashes().Draw(t, "commit"), Parent: hashes().Draw(t, "parent"), Code: rapid.String().Draw(t, "code"), Error: rapid.String().Draw(t, "error"), Items: []Done{}}
		for range rapid.IntRange(0, 6).Draw(t, "items") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				m.Items = append(m.Items, Done{Hash: Hash{1, byte(len(m.Items))}})
			case 1:
				m.Items = append(m.Items, Done{})
			case 2:
				m.Items = append(m.Items, Done{Code: rapid.StringN(1, -1, 9).Draw(t, "code"), Error: rapid.String().Draw(t, "error")})
			}
		}
		return m
	})
}

// written is what all messages can do.
type written interface {
	Append(to []byte) []byte
	Size() int
}

// readers read the messages of each kind.
var readers = map[kind]func(message []byte) (written, error){
	folderKind:  func(m []byte) (written, error) { f, err := ReadFolder(m); return f, err },
	foldersKind: func(m []byte) (written, error) { f, err := ReadFolders(m); return f, err },
	batchKind:   func(m []byte) (written, error) { b, err := ReadBatch(m); return &b, err },
	madeKind:    func(m []byte) (written, error) { d, err := ReadMade(m); return &d, err },
}

// TestWhatIsWrittenIsRead: each message is read as it was written, takes no more
// than its Size, and nothing that is cut off it or added to it is one.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch, made := anyBatch().Draw(t, "batch"), anyMade().Draw(t, "made")
		folders := Folders{Commit: hashes().Draw(t, "commit")}
		for range rapid.IntRange(0, 3).Draw(t, "folders") {
			folders.Folders = append(folders.Folders, Named{Path: rapid.String().Draw(t, "path"), Files: anyFiles().Draw(t, "files")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "left") {
			folders.Left = append(folders.Left, rapid.String().Draw(t, "path"))
		}
		for k, want := range map[kind]written{
			folderKind: Folder{Commit: hashes().Draw(t, "commit"), Files: anyFiles().Draw(t, "files")}, foldersKind: folders, batchKind: &batch, madeKind: &made,
		} {
			message := want.Append([]byte("before"))[len("before"):]
			if len(message) > want.Size() {
				t.Errorf("%d bytes, and a size of %d", len(message), want.Size())
			}
			got, err := readers[k](message)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v, %v; want %+v", got, err, want)
			}
			for other, read := range readers {
				if _, err := read(message); (err == nil) != (k == other) {
					t.Errorf("a message %q read as %q: %v", k, other, err)
				}
			}
			cut := rapid.IntRange(0, len(message)-1).Draw(t, "cut")
			for _, broken := range [][]byte{message[:cut], append(bytes.Clone(message), 0)} {
				if _, err := readers[k](broken); !errors.Is(err, ErrMalformed) {
					t.Errorf("%d bytes of %d: %v", len(broken), len(message), err)
				}
			}
		}
	})
}

// TestMalformed: what could be read in two ways, or claims more than there is, is
// refused.
func TestMalformed(t *testing.T) {
	zero := strings.Repeat("\x00", 20)
	for name, c := range map[string]struct {
		kind kind
		text string
	}{
		"another version":            {folderKind, "CF\x02f" + zero + "\x00"},
		"other letters":              {folderKind, "CG\x01f" + zero + "\x00"},
		"nothing":                    {folderKind, ""},
		"a long form":                {folderKind, "CF\x01f" + zero + "\x80\x00"},
		"a number of 65 bits":        {folderKind, "CF\x01f" + zero + strings.Repeat("\xff", 9) + "\x02"},
		"more files than bytes":      {folderKind, "CF\x01f" + zero + "\xff\xff\xff\xff\x0f"},
		"a file without a name":      {folderKind, "CF\x01f" + zero + "\x01\x00" + zero + "\x00\x00"},
		"a slash in a name":          {folderKind, "CF\x01f" + zero + "\x01\x03a/b" + zero + "\x00"},
		"more folders than bytes":    {foldersKind, "CF\x01F" + zero + "\x7f"},
		"a message that is no text":  {batchKind, "CF\x01b\x01\xff\x00\x00\x00\x00"},
		"a flag of two":              {batchKind, "CF\x01b\x00\x00\x00\x02\x00"},
		"a second of two":            {batchKind, "CF\x01b\x00\x00\x00\x01\x00\x80\xa8\xd6\xb9\x07\x00"},
		"the year 10000":             {batchKind, "CF\x01b\x00\x00\x00\x01\x80\xa0\xca\xbe\xf2\x0e\x00\x00"},
		"an operation of none":       {batchKind, "CF\x01b\x00\x00\x00\x00\x01x-\x00\x00\x00"},
		"a condition of none":        {batchKind, "CF\x01b\x00\x00\x00\x00\x01dx\x00\x00\x00"},
		"a path that is no text":     {batchKind, "CF\x01b\x00\x00\x00\x00\x01d-\x00\x00\x01\xff"},
		"content behind a delete":    {batchKind, "CF\x01b\x00\x00\x00\x00\x01d-\x00\x00\x01a\x01x"},
		"content that is not there":  {batchKind, "CF\x01b\x00\x00\x00\x00\x01p-\x00\x00\x01a\x02x"},
		"too many items":             {batchKind, "CF\x01b\x00\x00\x00\x00\x81\x20" + strings.Repeat("d-\x00\x00\x00", MaxItems+1)},
		"too many answers":           {madeKind, "CF\x01B" + zero + zero + "\x00\x00\x81\x20" + strings.Repeat("-", MaxItems+1)},
		"a put without a hash":       {madeKind, "CF\x01B" + zero + zero + "\x00\x00\x01+" + zero},
		"left out without a reason":  {madeKind, "CF\x01B" + zero + zero + "\x00\x00\x01!\x00\x00"},
		"an outcome that is unknown": {madeKind, "CF\x01B" + zero + zero + "\x00\x00\x01?"},
	} {
		if got, err := readers[c.kind]([]byte(c.text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	most := "CF\x01b\x00\x00\x00\x00\x80\x20" + strings.Repeat("d-\x00\x00\x00", MaxItems)
	if got, err := ReadBatch([]byte(most)); err != nil || len(got.Items) != MaxItems {
		t.Errorf("as many items as there may be: %d, %v", len(got.Items), err)
	}
}

func TestMediaType(t *testing.T) {
	for header, want := range map[string]bool{
		Accept: true, Type: true, "": false, "*/*": false, "application/json": false, Type + "x": false, "x" + Type: false,
		"application/json, " + Type + ";q=0.5": true, "text/html," + strings.ToUpper(Type): true,
		Type + ";q=0": false, Type + "; q = 0.000, application/json": false, Type + ";v=0": true, Type + ";q=": true,
	} {
		if got := Accepted(header); got != want {
			t.Errorf("Accepted(%q) = %v", header, got)
		}
	}
	for header, want := range map[string]bool{Type: true, Type + "; charset=x": true, " " + Type: true, "application/json": false, "": false, Type + "2": false} {
		if got := Is(header); got != want {
			t.Errorf("Is(%q) = %v", header, got)
		}
	}
}

// FuzzRead reads any bytes as each kind of message: what is one is the only one
// that says the same, and none takes much more memory than it has bytes.
func FuzzRead(f *testing.F) {
	batch := Batch{Message: "m", Author: "a", Email: "e", At: time.Unix(1, 2), Items: []Item{
		{Op: Put, Match: Blob, Base: Hash{1}, NewFolder: true, Group: "g", Path: "p", Data: []byte("d")}, {Op: Delete, Match: Nothing, Group: "g", Path: "q"},
	}}
	made := Made{Commit: Hash{1}, Items: []Done{{Hash: Hash{2}}, {}, {Code: "C", Error: "e"}}}
	files := []File{{Name: "n", Hash: Hash{3}, Data: []byte("d")}}
	for _, m := range []written{&batch, &made, Folder{Commit: Hash{1}, Files: files}, Folders{Folders: []Named{{"p", files}}, Left: []string{"l"}}} {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, read := range readers {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := read(message)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64*uint64(len(message))+1<<20 {
				t.Fatalf("%d bytes take %d", len(message), grown)
			}
			if err == nil && !bytes.Equal(got.Append(nil), message) {
				t.Fatalf("%q is read as %+v", message, got)
			}
		}
	})
}
