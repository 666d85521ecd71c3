package govc

import (
	"encoding/hex"
	"time"

	"github.com/caiatech/caiatop/backend/frame"
)

// batchRequest is a batch in JSON, for services that take no frames.
type batchRequest struct {
	Message   string      `json:"message"`
	Author    string      `json:"author"`
	Email     string      `json:"email"`
	Timestamp *time.Time  `json:"timestamp,omitempty"`
	Items     []batchItem `json:"items"`
}

type batchItem struct {
	Op      string  `json:"op"`
	Path    string  `json:"path"`
	Content *string `json:"content,omitempty"`
	// Match is the hash of the blob that the change is made against, "" for
	// none; nil makes it whatever is there.
	Match *string `json:"if_match,omitempty"`
	// NewFolder: there must be nothing at all in the folder of the path.
	NewFolder bool   `json:"new_folder,omitempty"`
	Group     string `json:"group,omitempty"`
}

type batchAnswer struct {
	Hash  string       `json:"hash"`
	Items []itemAnswer `json:"items"`
}

type itemAnswer struct {
	Path  string `json:"path"`
	Hash  string `json:"hash"`
	Error string `json:"error"`
	Code  string `json:"code"`
}

// encodeBatch writes a batch as JSON.
func encodeBatch(in *changes) ([]byte, error) {
	out := batchRequest{
		Message: in.Message, Author: in.Author, Email: in.Email, Timestamp: timestamp(in.At), Items: make([]batchItem, len(in.Items)),
	}
	// The names of fields, hashes and escaped line ends are a guess.
	size := len(out.Message) + len(out.Author) + len(out.Email) + 128
	for i := range in.Items {
		from, to := &in.Items[i], &out.Items[i]
		*to = batchItem{Op: "delete", Path: from.Path, NewFolder: from.NewFolder, Group: from.Group}
		if from.Op == frame.Put {
			text := string(from.Data)
			to.Op, to.Content = "put", &text
		}
		switch from.Match {
		case frame.Nothing:
			to.Match = new(string)
		case frame.Exists:
			exists := "*"
			to.Match = &exists
		case frame.Blob:
			hash := hex.EncodeToString(from.Base[:])
			to.Match = &hash
		case frame.Anything:
		}
		size += len(from.Path) + 160 + len(from.Data) + len(from.Data)/16
	}
	return encodeSized(out, size)
}

// readMade reads the answer to a batch in either form.
func readMade(r reply, in *changes) (made, error) {
	if r.framed() {
		told, err := frame.ReadMade(r.body)
		out := made{commit: hexOf(told.Commit), items: make([]madeItem, len(told.Items))}
		for i, it := range told.Items {
			out.items[i].Done = it
		}
		return out, err
	}
	var told batchAnswer
	if err := decode(r.body, &told); err != nil {
		return made{}, err
	}
	out := made{commit: told.Hash, items: make([]madeItem, len(told.Items))}
	for i, it := range told.Items {
		to := &out.items[i]
		to.Code, to.Error = it.Code, it.Error
		var ok bool
		to.Hash, ok = parseHex(it.Hash)
		to.odd = !ok || i >= len(in.Items) || it.Path != in.Items[i].Path
	}
	return out, nil
}

// hexOf is a hash as JSON has it, "" for none.
func hexOf(h frame.Hash) string {
	if h == (frame.Hash{}) {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// parseHex reads what hexOf wrote.
func parseHex(text string) (h frame.Hash, ok bool) {
	if len(text) != 2*len(h) {
		return h, text == ""
	}
	n, err := hex.Decode(h[:], []byte(text))
	return h, err == nil && n == len(h) && hexOf(h) == text
}
