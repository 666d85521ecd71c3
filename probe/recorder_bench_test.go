package probe

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkObserve(b *testing.B) {
	r := New(time.Now)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Observe(Read, Govc, time.Duration(i%4096)*time.Microsecond, nil)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	r := New(time.Now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r.Observe(Read, Govc, time.Duration(i%4096)*time.Microsecond, nil)
		}
	})
}

func BenchmarkSnapshotOf20(b *testing.B) {
	c := newClock()
	r := New(c.Now)
	for range SparkPoints {
		for s := range 20 {
			for i := range 500 {
				r.Observe(Op(fmt.Sprint(s)), Govc, time.Duration(i*i)*time.Microsecond, nil)
			}
		}
		c.Advance(SlotDuration)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Snapshot()
	}
}
