package govc

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var lenient = json.JoinOptions(
	json.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
)

// decode reads an answer of a service of ours with contents in it, which is one
// JSON value. The standard library would take three times as long.
func decode(body []byte, into any) error { return json.Unmarshal(body, into, lenient) }
