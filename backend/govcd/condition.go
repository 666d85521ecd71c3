package govcd

import (
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

// maxTags bounds the names that one If-Match header may list.
const maxTags = 16

// condition is what a request wants to be true of what it replaces (CapMatch).
// The zero value wants nothing.
type condition struct {
	set    bool
	exists bool           // it must exist, whatever it is
	absent bool           // it must not exist
	names  []gitrepo.Hash // else it must be one of these
}

// conditionOf reads If-Match and If-None-Match.
func conditionOf(r *http.Request) (condition, error) {
	match, none := strings.Join(r.Header.Values("If-Match"), ","), strings.Join(r.Header.Values("If-None-Match"), ",")
	switch {
	case match == "" && none == "":
		return condition{}, nil
	case match != "" && none != "":
		return condition{}, badCondition("If-Match and If-None-Match exclude each other")
	case none == "*":
		return condition{set: true, absent: true}, nil
	case none != "":
		return condition{}, badCondition("a write takes only If-None-Match: *")
	case match == "*":
		return condition{set: true, exists: true}, nil
	}
	c := condition{set: true}
	for tag := range strings.SplitSeq(match, ",") {
		name, open := strings.CutPrefix(strings.TrimSpace(tag), `"`)
		name, closed := strings.CutSuffix(name, `"`)
		h, ok := parseHash(name)
		if !open || !closed || !ok {
			return condition{}, badCondition(`If-Match must be * or hashes of 40 digits in quotes`)
		}
		if len(c.names) == maxTags {
			return condition{}, badCondition("If-Match lists too many hashes")
		}
		c.names = append(c.names, h)
	}
	return c, nil
}

// itemCondition is the condition of one item of a batch: nil for none, "" for
// absent.
func itemCondition(match *string) (condition, error) {
	switch {
	case match == nil:
		return condition{}, nil
	case *match == "":
		return condition{set: true, absent: true}, nil
	case *match == "*":
		return condition{set: true, exists: true}, nil
	}
	h, ok := parseHash(*match)
	if !ok {
		return condition{}, badCondition("if_match must be a blob hash of 40 digits, * or empty")
	}
	return condition{set: true, names: []gitrepo.Hash{h}}, nil
}

func badCondition(text string) error {
	return fail(http.StatusBadRequest, "INVALID_PRECONDITION", text)
}

// holds compares with what is there: exists tells whether anything is, and the
// hash is zero for what has none, as a folder.
func (c condition) holds(exists bool, h gitrepo.Hash) bool {
	switch {
	case !c.set:
		return true
	case c.exists || c.absent:
		return exists == c.exists
	}
	for _, name := range c.names {
		if exists && name == h {
			return true
		}
	}
	return false
}

// checkTip holds a condition on the newest commit of a branch.
func (c condition) checkTip(branch string, tip gitrepo.Hash) error {
	if c.holds(!tip.IsZero(), tip) {
		return nil
	}
	return preconditionFailed("branch "+branch+" is not at the commit that was named", map[string]any{"current": named(tip)})
}

// checkFile holds a condition on a file.
func (c condition) checkFile(path string, exists bool, h gitrepo.Hash) error {
	if c.holds(exists, h) {
		return nil
	}
	return preconditionFailed("file is not what was named: "+path, map[string]any{"current": named(h)})
}

func preconditionFailed(text string, details map[string]any) *failure {
	return &failure{Status: http.StatusPreconditionFailed, Code: codePrecondition, Text: text, Details: details}
}

const codePrecondition = "PRECONDITION_FAILED"

// named is a hash as the wire has it, "" for none.
func named(h gitrepo.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}

// setTag tells what was read, for If-Match.
func setTag(w http.ResponseWriter, h gitrepo.Hash) {
	if !h.IsZero() {
		w.Header()["Etag"] = []string{`"` + h.String() + `"`}
	}
}

// blobHash is the name that git gives to content.
func blobHash(data []byte) gitrepo.Hash {
	return plumbing.ComputeHash(plumbing.BlobObject, data)
}
