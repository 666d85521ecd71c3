package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/gitrepo"
	"github.com/caiatech/caiatop/bench/beside"
)

const (
	textBytes = 1024 // of content.txt
	batchDocs = 1000 // documents a commit of an import
	seed      = 20261122
	// stride visits documents in an order that is no order of the disk; it is
	// prime, and no size is a multiple of it.
	stride = 7919
)

// when is the time of every document and commit.
var when = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

var author = gitrepo.Signature{Name: "caiatop bench", Email: "bench@caiatop.invalid"}

// doc is one document as its two files.
type doc struct {
	folder     string
	meta, text []byte
}

func (d doc) metaPath() string { return d.folder + "/metadata.json" }
func (d doc) textPath() string { return d.folder + "/content.txt" }
func (d doc) bytes() int       { return len(d.meta) + len(d.text) }

// vocabulary is a few thousand made-up words, some much more frequent than
// others, as in any language: text of them compresses like text.
var vocabulary = func() []string {
	const size = 4096
	random := rand.New(rand.NewPCG(seed, 0))
	syllables := []string{"ka", "lo", "mer", "tin", "su", "ver", "al", "do", "ne", "pra", "sil", "o", "ru", "cht", "be", "fi", "gan", "ho", "is", "ul"}
	words := make([]string, size)
	for i := range words {
		for range 1 + random.IntN(3) {
			words[i] += syllables[random.IntN(len(syllables))]
		}
		words[i] += syllables[i%len(syllables)]
	}
	return words
}()

var docType = beside.Must(document.ParseType("text"))

// makeDoc returns a version of a document: the same one for the same numbers.
// Versions differ in a part of the text, as an edit would make it.
func makeDoc(i, version int) doc {
	id := beside.Must(document.ParseID(fmt.Sprintf("doc-%07d", i)))
	random := rand.New(rand.NewPCG(seed, uint64(i)+1)) //nolint:gosec // numbers of documents
	text := make([]byte, 0, textBytes+16)
	for len(text) < textBytes {
		r := random.Float64()
		text = append(text, vocabulary[int(r*r*r*float64(len(vocabulary)))]...)
		text = append(text, ' ')
	}
	text = text[:textBytes]
	if version > 0 {
		copy(text[i%(textBytes/2):], fmt.Sprintf("edited as version %d ", version))
	}
	at := when.Add(time.Duration(version) * time.Minute).Format(time.RFC3339)
	meta := fmt.Appendf(nil, "{\n  \"id\": %q,\n  \"source\": {\n    \"type\": \"text\",\n    \"path\": \"shelf/%s/%s.txt\"\n  },\n"+
		"  \"created_at\": %q,\n  \"updated_at\": %q,\n  \"metadata\": {\n    \"author\": %q,\n    \"number\": %d,\n    \"title\": %q\n  },\n  \"encoding\": \"utf-8\"\n}\n",
		id, text[:6], id, when.Format(time.RFC3339), at, vocabulary[i%len(vocabulary)], i, text[100:128])
	return doc{folder: document.LayoutFanOut.Folder(docType, when, id).String(), meta: meta, text: text}
}

func path(s string) document.Path { return beside.Must(document.ParsePath(s)) }

// changes returns a document as changes of a tree.
func (d doc) changes() []gitrepo.Change {
	return []gitrepo.Change{{Path: path(d.metaPath()), Data: d.meta}, {Path: path(d.textPath()), Data: d.text}}
}

// batch returns documents from..from+n as the changes of one commit.
func batch(from, n, version int) (changes []gitrepo.Change, size int) {
	for i := from; i < from+n; i++ {
		d := makeDoc(i, version)
		size += d.bytes()
		changes = append(changes, d.changes()...)
	}
	return changes, size
}

// input is a commit to main.
func input(changes []gitrepo.Change) gitrepo.CommitInput {
	return gitrepo.CommitInput{Changes: changes, Message: "bench", Author: author, At: when}
}

// stream writes the commits of an import as git fast-import reads them.
func stream(ctx context.Context, file string, n int) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	for from := 0; from < n; from += batchDocs {
		if err := ctx.Err(); err != nil {
			return err
		}
		writeCommit(w, "refs/heads/main", "", from, min(batchDocs, n-from), 0)
	}
	return w.Flush()
}

// writeCommit writes one commit; errors are those of the buffer's Flush.
func writeCommit(w io.Writer, ref, from string, first, n, version int) {
	beside.Say(w, "commit %s\ncommitter %s <%s> %d +0000\ndata 5\nbench\n", ref, author.Name, author.Email, when.Unix())
	if from != "" {
		beside.Say(w, "from %s\n", from)
	}
	for i := first; i < first+n; i++ {
		d := makeDoc(i, version)
		for _, f := range []struct {
			path string
			data []byte
		}{{d.metaPath(), d.meta}, {d.textPath(), d.text}} {
			beside.Say(w, "M 100644 inline %s\ndata %d\n%s\n", f.path, len(f.data), f.data)
		}
	}
	beside.Say(w, "\n")
}

// sides is a stream of two branches that changed one document each.
func sides(n int) io.Reader {
	var b bytes.Buffer
	writeCommit(&b, "refs/heads/left", "refs/heads/main^0", 0, 1, 1)
	writeCommit(&b, "refs/heads/right", "refs/heads/main^0", n/2, 1, 1)
	return &b
}
