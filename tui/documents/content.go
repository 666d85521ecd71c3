package documents

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/editor"
	"github.com/caiatech/caiatop/tui/termsafe"
	"github.com/caiatech/caiatop/tui/ui"
)

// promise says in words what an acknowledgement stands for.
func promise(a engine.Ack) string {
	if len(a.Conflicts) > 0 {
		if kept := a.Conflicts[0].Copy; !kept.IsZero() {
			return "CONFLICT at govc: their version keeps the place, yours is kept as " + termsafe.Line(kept.String()).String()
		}
		return "CONFLICT at govc: their version stays"
	}
	if a.Durability == engine.PrimaryAndLocal {
		return "on govc, and safe here"
	}
	return "safe here, stores follow"
}

// sameContent reports whether writing a over b would change nothing but times.
func sameContent(a, b document.Document) bool {
	if a.Source != b.Source || a.Content.Text != b.Content.Text || string(a.Content.Raw) != string(b.Content.Raw) {
		return false
	}
	if len(a.Content.Metadata) != len(b.Content.Metadata) {
		return false
	}
	if len(a.Content.Metadata) == 0 || reflect.DeepEqual(a.Content.Metadata, b.Content.Metadata) {
		return true
	}
	// A number is the same whatever Go type holds it.
	one, err := json.Marshal(a.Content.Metadata)
	other, otherErr := json.Marshal(b.Content.Metadata)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// clock shows when something was, in the time of the operator.
func (p *Page) clock(t time.Time) string {
	if t.IsZero() {
		return ui.Unknown
	}
	format := "2006-01-02 15:04"
	now, then := p.o.Now().In(p.o.Location), t.In(p.o.Location)
	if now.Year() == then.Year() && now.YearDay() == then.YearDay() {
		format = "15:04"
	}
	return then.Format(format)
}

// refusal says why a document cannot be edited as text, "" if it can.
func refusal(d document.Document) string {
	if d.Content.Text == "" && len(d.Content.Raw) > 0 {
		return "it holds no text; caiatop get and put can"
	}
	if err := editor.Holds(d.Content.Text); err != nil {
		return err.Error() + "; use caiatop get and caiatop put"
	}
	return ""
}
