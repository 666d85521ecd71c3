package journal

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
)

// Attributes of a log record that have a place of their own in an entry.
const (
	// KindKey makes an entry of a record of level Info, and names its kind.
	KindKey = "kind"
	// NextKey says what to do.
	NextKey = "next"
)

// kindOfLog is the kind of a record that names none.
const kindOfLog = "log"

// Handler returns a handler for the log that passes every record on to next and
// makes entries of those that an operator may want to know: of level Warn and
// above, and of level Info if they name a kind. The attributes "kind" and
// "next" become the fields of that name, unless they are in a group; the others
// follow the message as key=value.
//
// The entries are marked, so that a Log that follows the journal does not write
// what next wrote. next is a Log's Handler, or slog.DiscardHandler.
func (j *Journal) Handler(next slog.Handler) slog.Handler {
	return &handler{journal: j, next: next}
}

type handler struct {
	journal *Journal
	next    slog.Handler
	fields  fields // of WithAttrs
	prefix  string // of WithGroup, ends in "." unless empty
}

// fields is what a record's attributes become.
type fields struct{ kind, next, text string }

// Enabled is true for whatever may become an entry: whether a record of level
// Info does is known only with its attributes.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		f := h.fields
		r.Attrs(func(a slog.Attr) bool {
			f.add(h.prefix, a)
			return true
		})
		if r.Level >= slog.LevelWarn || f.kind != "" {
			h.journal.Add(f.entry(r))
		}
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.fields.add(h.prefix, a)
	}
	with.next = h.next.WithAttrs(attrs)
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.prefix += name + "."
	}
	with.next = h.next.WithGroup(name)
	return &with
}

// entry makes an entry of a record and its attributes.
func (f fields) entry(r slog.Record) Entry {
	e := Entry{At: r.Time, Level: Info, Kind: f.kind, Text: cut(r.Message, MaxText) + f.text, Next: f.next, logged: true}
	switch {
	case r.Level >= slog.LevelError:
		e.Level = Error
	case r.Level >= slog.LevelWarn:
		e.Level = Warning
	}
	if e.Kind == "" {
		e.Kind = kindOfLog
	}
	return e
}

// add takes one attribute. What no entry has room for is not even written out.
func (f *fields) add(prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range value.Group() {
			f.add(prefix, inner)
		}
		return
	}
	switch {
	case a.Equal(slog.Attr{}):
	case prefix == "" && a.Key == KindKey:
		f.kind = word(text(value))
	case prefix == "" && a.Key == NextKey:
		f.next = text(value)
	case len(f.text) < MaxText:
		f.text += " " + cut(prefix+a.Key, MaxText) + "=" + quoted(text(value))
	}
}

// text is a value as it is shown.
func text(v slog.Value) string {
	if v.Kind() != slog.KindAny {
		return cut(v.String(), MaxText)
	}
	return cut(fmt.Sprintf("%+v", v.Any()), MaxText)
}

// quoted puts what is not one plain word into quotes.
func quoted(s string) string {
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '=' }
	if s == "" || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

// word makes one word of a kind, so that it can be a column and be asked for.
func word(s string) string { return strings.Join(strings.Fields(s), "-") }
