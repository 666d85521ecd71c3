package probe

import (
	"testing"
	"time"
)

func TestResetForgetsTheWindowOnly(t *testing.T) {
	c := newClock()
	start := c.Now()
	r := New(c.Now)
	c.Advance(time.Minute)
	r.Observe(Write, Govc, 3*time.Millisecond, nil)
	r.Observe(Write, Govc, 3*time.Millisecond, nil)
	r.Observe(Write, Govc, time.Millisecond, errFailed)
	if got := r.Since(); !got.Equal(start) {
		t.Errorf("the window begins at %v, want the start %v", got, start)
	}
	r.Reset()
	got := only(t, r)
	want := OpStats{Op: Write, Store: Govc, Total: 2, TotalErrors: 1, TotalTime: 6 * time.Millisecond}
	if got != want {
		t.Errorf("after the reset %+v, want %+v", got, want)
	}
	if got := r.Since(); !got.Equal(start.Add(time.Minute)) {
		t.Errorf("the window begins at %v, want the reset", got)
	}
	c.Advance(time.Second)
	r.Observe(Write, Govc, time.Millisecond, nil)
	if got := only(t, r); got.Count != 1 || got.Errors != 0 || got.Max != time.Millisecond || got.P50 != time.Millisecond || got.Rate != 0.1 || got.Total != 3 {
		t.Errorf("one operation later: %+v", got)
	}
	c.Advance(SparkPoints * SlotDuration)
	if got := r.Since(); !got.Equal(c.Now().Add(-SparkPoints * SlotDuration)) {
		t.Errorf("the window begins at %v at %v", got, c.Now())
	}
	if got := only(t, r); got.Count != 0 || got.Total != 3 || got.TotalTime != 7*time.Millisecond {
		t.Errorf("after the window: %+v", got)
	}
}
