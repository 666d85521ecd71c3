package govcd

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// asBefore makes the decoder of batches as lenient as that of the other routes:
// names in any case, names given twice, and bytes that are not UTF-8, which it
// replaces.
var asBefore = json.JoinOptions(
	json.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
)

// bindBatch decodes the body of a batch, which is nothing but one JSON value,
// and checks its required fields. The standard library would take as long for
// that as the whole commit does.
func bindBatch(body []byte, into *BatchRequest) error {
	if err := json.Unmarshal(body, into, asBefore); err != nil {
		return fail(http.StatusBadRequest, "INVALID_REQUEST", err.Error())
	}
	return checkRequired(into)
}
