package govcd

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/caiatech/caiatop/backend/frame"
	"github.com/caiatech/caiatop/backend/gitrepo"
)

// framed reports whether a request wants its answer in the form of package frame
// (CapFrame). Errors are JSON all the same.
func framed(r *http.Request) bool { return frame.Accepted(r.Header.Get("Accept")) }

// message is an answer of package frame.
type message interface {
	Size() int
	Append(to []byte) []byte
}

// keptMessage is how large a buffer is kept for the next answer, in bytes.
const keptMessage = 64 << 10

var messages = sync.Pool{New: func() any { return new([]byte) }}

// answerFrame is answer in the form of package frame.
func answerFrame(w http.ResponseWriter, status int, m message) error {
	buffer := messages.Get().(*[]byte) //nolint:forcetypeassert // the pool makes nothing else
	size := m.Size()
	if cap(*buffer) < size {
		*buffer = make([]byte, 0, size)
	}
	body := m.Append((*buffer)[:0])
	h := w.Header()
	h["Content-Type"] = frameType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the only reader is gone if this fails
	if cap(body) <= keptMessage {
		messages.Put(buffer)
	}
	return nil
}

// frameType is shared by all answers and never changed.
var frameType = []string{frame.Type}

// askedInFrame reads the body of a batch in the form of package frame. The
// contents of its items are those of the body.
func askedInFrame(body []byte) (asked, error) {
	in, err := frame.ReadBatch(body)
	if err != nil {
		return asked{}, fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	}
	out := asked{
		commit: CommitRequest{Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: in.At},
		items:  make([]item, len(in.Items)),
	}
	if err := checkRequired(&out.commit); err != nil {
		return asked{}, err
	}
	hashes := make([]gitrepo.Hash, len(in.Items))
	for i := range in.Items {
		from, it := &in.Items[i], &out.items[i]
		*it = item{name: from.Path, group: from.Group, delete: from.Op == frame.Delete, fresh: from.NewFolder && from.Op == frame.Put, data: from.Data}
		switch from.Match {
		case frame.Nothing:
			it.cond = condition{set: true, absent: true}
		case frame.Exists:
			it.cond = condition{set: true, exists: true}
		case frame.Blob:
			hashes[i] = from.Base
			it.cond = condition{set: true, names: hashes[i : i+1 : i+1]}
		case frame.Anything:
		}
		it.path, err = writablePath(from.Path)
		it.refuse(err)
	}
	return out, nil
}

// frame is what the form of package frame tells of a batch.
func (m *outcome) frame() *frame.Made {
	out := &frame.Made{Commit: m.commit, Parent: m.parent, Items: make([]frame.Done, len(m.items))}
	if m.commit.IsZero() {
		out.Error, out.Code = errNoneMade.Error(), codeNoneMade
	}
	for i := range m.items {
		out.Items[i].Hash = m.blobs[i]
		if f := m.items[i].failed; f != nil {
			out.Items[i].Error, out.Items[i].Code = f.Text, f.Code
		}
	}
	return out
}
