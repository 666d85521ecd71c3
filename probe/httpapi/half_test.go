package httpapi_test

import (
	"testing"

	"github.com/caiatech/caiatop/probe/httpapi"
	"github.com/caiatech/caiatop/probe/httpapi/httpapitest"
)

// TestHalfACharacterIsReplaced: JSON can name one half of a surrogate pair, of
// which the decoder made U+FFFD without a word.
func TestHalfACharacterIsReplaced(t *testing.T) {
	address := serveTCP(t, httpapi.NewServer(&httpapitest.Engine{}, nil), httpapi.TCPOptions{})
	for text, want := range map[string]int{
		`\ud800`: 400, `\udc00`: 400, `\ud83dx`: 400, `\ud83d\u0041`: 400, `\ude00\ud83d`: 400, `\ud83d\ud83d\ude00`: 400, `\\\ud800`: 400, `\uDBFF`: 400,
		`\ud83d\ude00`: 200, `\\ud800`: 200, `\u0041\n\"`: 200, `\ufffd`: 200, `x\\`: 200, `\uD83D\uDE00\ud83d\ude00`: 200,
	} {
		for _, body := range []string{`{"type":"t","text":"` + text + `"}`, `{"type":"t","metadata":{"n":["` + text + `"]}}`, `{"type":"t","metadata":{"` + text + `":1}}`} {
			r := ask(t, address, "PUT", "/api/v1/documents/a", body, nil)
			if r.status != want {
				t.Errorf("%s: %d %s", body, r.status, r.body)
			}
		}
	}
	for _, body := range []string{`{"type":"t","text":"\u12`, `{"type":"t","text":"\`, `\ud800\`, `"\ud80`} {
		if r := ask(t, address, "PUT", "/api/v1/documents/a", body, nil); r.status != 400 {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
