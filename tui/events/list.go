package events

import (
	"sort"
	"strings"

	"github.com/caiatech/caiatop/backend/action"
	"github.com/caiatech/caiatop/probe/journal"
)

// event is one entry, ready to be looked for.
type event struct {
	journal.Entry
	kind, folded string // in small letters; folded is kind and text
}

func newEvent(e journal.Entry) *event {
	kind := strings.ToLower(e.Kind)
	return &event{Entry: e, kind: kind, folded: kind + "\n" + strings.ToLower(e.Text)}
}

// filter is what is asked for: every word is in kind or text, and the kind, if
// any is named, begins like one of those.
type filter struct{ kinds, words []string }

// parseFilter reads "kind:slow some words".
func parseFilter(s string) filter {
	var f filter
	for word := range strings.FieldsSeq(strings.ToLower(s)) {
		if kind, ok := strings.CutPrefix(word, "kind:"); ok {
			f.kinds = append(f.kinds, kind)
			continue
		}
		f.words = append(f.words, word)
	}
	return f
}

func (f filter) takes(e *event) bool {
	named := len(f.kinds) == 0
	for _, kind := range f.kinds {
		named = named || strings.HasPrefix(e.kind, kind)
	}
	if !named {
		return false
	}
	for _, word := range f.words {
		if !strings.Contains(e.folded, word) {
			return false
		}
	}
	return true
}

// list is all events, those of them that are shown, and the cursor.
type list struct {
	all   []*event // oldest first, as many as a journal keeps
	shown []*event

	level  journal.Level // the lowest that is shown
	filter string        // as typed
	asked  filter

	cursor, top int // indexes into shown
	follow      bool
	// place is the event that the cursor was on when something else began to be
	// shown, until it is moved: so what is typed letter by letter leads back.
	place *event
}

// levels in the order in which one key goes through them.
var levels = []journal.Level{journal.Info, journal.Warning, journal.Error}

// next returns the level after l.
func next(l journal.Level) journal.Level {
	for i, level := range levels {
		if level == l {
			return levels[(i+1)%len(levels)]
		}
	}
	return journal.Info
}

func (l *list) takes(e *event) bool { return e.Level.AtLeast(l.level) && l.asked.takes(e) }

// add appends newer events, and forgets the oldest above the limit.
func (l *list) add(found []*event, height int) {
	l.all = append(l.all, found...)
	for _, e := range found {
		if l.takes(e) {
			l.shown = append(l.shown, e)
		}
	}
	if over := len(l.all) - journal.Keep; over > 0 {
		l.all = append([]*event(nil), l.all[over:]...)
		oldest := l.all[0].Seq
		gone := sort.Search(len(l.shown), func(i int) bool { return l.shown[i].Seq >= oldest })
		l.shown = append([]*event(nil), l.shown[gone:]...)
		l.cursor -= gone
		l.top -= gone
	}
	l.clamp(height)
}

func (l *list) setFilter(s string, height int) {
	if s != l.filter {
		l.filter, l.asked = s, parseFilter(s)
		l.choose(height)
	}
}

func (l *list) setLevel(level journal.Level, height int) {
	l.level = level
	l.choose(height)
}

// choose makes shown anew. The cursor stays at its place, or goes to the next
// older event that is shown.
func (l *list) choose(height int) {
	if l.place == nil {
		l.place = l.selected()
	}
	inView := l.cursor - l.top
	l.shown = nil
	for _, e := range l.all {
		if l.takes(e) {
			l.shown = append(l.shown, e)
		}
	}
	if l.place != nil {
		l.cursor = sort.Search(len(l.shown), func(i int) bool { return l.shown[i].Seq > l.place.Seq }) - 1
		l.top = l.cursor - inView
	}
	l.clamp(height)
}

// setFollow keeps the cursor on the newest event from now on, or leaves it
// where it is.
func (l *list) setFollow(on bool, height int) {
	l.follow, l.place = on, nil
	l.clamp(height)
}

// move carries out a movement. Whoever moves looks at something, and is not
// taken away from it; the end is where following goes on.
func (l *list) move(name string, height int) {
	at := l.cursor
	switch name {
	case action.Up:
		at--
	case action.Down:
		at++
	case action.PageUp:
		at -= max(height-1, 1)
	case action.PageDown:
		at += max(height-1, 1)
	case action.Top:
		at = 0
	case action.Bottom:
	default:
		return
	}
	l.cursor, l.follow, l.place = at, name == action.Bottom, nil
	l.clamp(height)
}

// clamp keeps the cursor on an event and in view, and on the newest one while
// that is followed.
func (l *list) clamp(height int) {
	if l.follow {
		l.cursor = len(l.shown) - 1
	}
	l.cursor = max(min(l.cursor, len(l.shown)-1), 0)
	l.top = min(l.top, l.cursor)
	if l.cursor >= l.top+height {
		l.top = l.cursor - height + 1
	}
	l.top = max(min(l.top, len(l.shown)-height), 0)
}

// selected returns the event under the cursor, nil if none is shown.
func (l *list) selected() *event {
	if l.cursor >= len(l.shown) {
		return nil
	}
	return l.shown[l.cursor]
}

// around returns up to n events before one and n after it, of all that there
// are, with itself between them.
func (l *list) around(e *event, n int) []*event {
	at := sort.Search(len(l.all), func(i int) bool { return l.all[i].Seq >= e.Seq })
	return l.all[max(at-n, 0):min(at+n+1, len(l.all))]
}
