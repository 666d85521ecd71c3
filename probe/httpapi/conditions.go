package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The headers of a condition. An entity tag is the hash of a version in
// quotes.
const (
	ifMatch     = "If-Match"
	ifNoneMatch = "If-None-Match"
)

func etag(hash string) string { return `"` + hash + `"` }

// tagged gives a document its tag, and leaves the document out where the
// caller has that version.
func (c *call) tagged(doc Document) (any, error) {
	if doc.Hash == "" {
		return doc, nil
	}
	c.header.Set("ETag", etag(doc.Hash))
	given := strings.Join(c.Header.Values(ifNoneMatch), ",")
	if given == "" {
		return doc, nil
	}
	tags, any, err := tags(given)
	if err != nil {
		return nil, err
	}
	if any || slices.Contains(tags, doc.Hash) {
		return text{status: http.StatusNotModified}, nil
	}
	return doc, nil
}

// expected returns the hash that a change expects the document to have, "" for
// none, and sets conditional if the request has a condition at all.
func (s *Server) expected(c *call) (base string, err error) {
	match, noneMatch := strings.Join(c.Header.Values(ifMatch), ","), strings.Join(c.Header.Values(ifNoneMatch), ",")
	switch {
	case match == "" && noneMatch == "":
		return "", nil
	case match != "" && noneMatch != "":
		return "", fmt.Errorf("%w: %s and %s exclude each other", ErrInvalid, ifMatch, ifNoneMatch)
	case noneMatch != "" && strings.TrimSpace(noneMatch) != "*":
		return "", fmt.Errorf("%w: %s: %s is not *", ErrInvalid, ifNoneMatch, noneMatch)
	}
	c.conditional = true
	if noneMatch != "" {
		return "", nil
	}
	wanted, any, err := tags(match)
	if err != nil {
		return "", err
	}
	if !any && len(wanted) == 1 && wanted[0] != "" {
		return wanted[0], nil
	}
	found, err := s.engine.Get(c.ctx, c.PathValue("id"))
	if errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("%w: %q does not exist", ErrConflict, c.PathValue("id"))
	}
	if err != nil {
		return "", err
	}
	if !any && !slices.Contains(wanted, found.Hash) {
		return "", fmt.Errorf("%w: %q has none of these versions now", ErrConflict, c.PathValue("id"))
	}
	return found.Hash, nil
}

// tags reads a list of entity tags, or * for any. Weak ones name no version
// here.
func tags(list string) (hashes []string, any bool, err error) {
	if strings.TrimSpace(list) == "*" {
		return nil, true, nil
	}
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		inner, weak := strings.CutPrefix(tag, "W/")
		if len(inner) < 2 || inner[0] != '"' || inner[len(inner)-1] != '"' || strings.Contains(inner[1:len(inner)-1], `"`) {
			return nil, false, fmt.Errorf("%w: %s is no entity tag, which stands in quotes", ErrInvalid, tag)
		}
		if !weak {
			hashes = append(hashes, inner[1:len(inner)-1])
		}
	}
	return hashes, false, nil
}
