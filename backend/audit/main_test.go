package audit

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// first is the name of the first file.
const first = "audit-00000000000000000001.jsonl"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	if o.Now == nil {
		o.Now = (&clock{noon}).now
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read returns all entries and what else there is.
func read(t testing.TB, v durable.Volume, dir string) ([]Entry, Report) {
	t.Helper()
	var all []Entry
	report, err := Scan(v, dir, "", func(e Entry) error {
		all = append(all, e)
		return nil
	})
	must(t, err)
	return all, report
}
