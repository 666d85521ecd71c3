package govcd

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzBatchBody: what the standard library reads of a batch is what is read, and
// what it refuses is refused.
func FuzzBatchBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"m","items":[{"op":"put","path":"a","content":"\u0000\ud800 <é","group":"g"}]}`,
		`{"Message":"m","MESSAGE":"n","items":null}`, `{"message":"m","items":[{"op":"put","path":"a","content":null,"if_match":""}]}`,
		"{\"message\":\"m\xff\",\"items\":[{}]}", `{"message":"m","items":[]} x`, `{"message":"m","timestamp":"2030-01-01T00:00:00Z","items":[{}]}`,
		`{"message":"m","timestamp":"2030","items":[{}]}`, `{"message":1}`, `[]`, `null`, ``, `{"message":"m","items":[{"op":"put"},{"op":"delete","op":"put"}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var want, got BatchRequest
		wrong := json.Unmarshal([]byte(body), &want)
		if wrong == nil {
			wrong = checkRequired(&want)
		}
		err := bindBatch([]byte(body), &got)
		if (wrong == nil) != (err == nil) && !differs(body) {
			t.Fatalf("%q: %v, the standard library %v", body, err, wrong)
		}
		if wrong == nil && err == nil && !reflect.DeepEqual(want, got) && !differs(body) {
			t.Fatalf("%q: %+v, the standard library %+v", body, got, want)
		}
	})
}

// differs reports what the two are known to read in different ways: null for
// what is no pointer, and names given twice, whose values are merged.
func differs(body string) bool {
	return strings.Contains(body, "null") || strings.Count(strings.ToLower(body), "items") > 1
}
