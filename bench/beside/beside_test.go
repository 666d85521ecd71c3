package beside

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestARaceIsBounded in count and in time, and all take turns.
func TestARaceIsBounded(t *testing.T) {
	var order []int
	racer := func(number, count int, limit time.Duration) *Racer {
		return &Racer{Count: count, Time: limit, Do: func(int) (time.Duration, error) {
			order = append(order, number)
			return time.Duration(number) * time.Millisecond, nil
		}}
	}
	figures, err := Rules{Samples: 40}.Race(t.Context(), racer(1, 20, time.Minute), racer(2, 1000, time.Minute), racer(3, 10, 0))
	if err != nil || figures[0].Count != 20 || figures[1].Count != 40 || figures[2].Count != 1 || figures[1].Median != 2000 || figures[1].Processor != 0 {
		t.Errorf("%+v, %v", figures, err)
	}
	if len(order) != 61 || order[0] != 1 || order[1] != 2 || order[len(order)-1] == 1 {
		t.Errorf("the order is %v", order)
	}
	wrong := errors.New("wrong")
	if _, err := (Rules{}).Race(t.Context(), &Racer{Count: 1, Do: func(int) (time.Duration, error) { return 0, wrong }}); !errors.Is(err, wrong) {
		t.Error(err)
	}
}

func TestHowAProgramEnds(t *testing.T) {
	p := Program{Name: "bench-x", Sizes: "10", MinSize: 1, MaxSize: 100, Limit: time.Minute}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context //nolint:containedctx // of one row
		limit time.Duration
		err   error
		code  int
	}{
		"well":        {t.Context(), time.Minute, nil, 0},
		"broken":      {t.Context(), time.Minute, errors.New("broken"), ExitBroken},
		"too long":    {t.Context(), 0, nil, ExitBroken},
		"interrupted": {interrupted, time.Minute, nil, ExitInterrupted},
	} {
		if code := p.Run(c.ctx, c.limit, io.Discard, func(context.Context) error { return c.err }); code != c.code {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
	none := func(*flag.FlagSet) map[string]*string { return nil }
	for _, args := range [][]string{{"--sizes", "0"}, {"--sizes", "101"}, {"--sizes", "5,5"}, {"--limit", "0s"}, {"x"}, {"--json", "/no/such/folder/x"}, {"--none"}} {
		var said bytes.Buffer
		if _, err := p.Parse(args, &said, none); err == nil || p.Refused(err, &said) != ExitUsage || said.Len() == 0 {
			t.Errorf("%q: %v", args, err)
		}
	}
	if o, err := p.Parse([]string{"--sizes", "1, 100"}, io.Discard, none); err != nil || len(o.Sizes) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := p.Parse([]string{"--help"}, io.Discard, none); p.Refused(err, io.Discard) != 0 {
		t.Error(err)
	}
}
