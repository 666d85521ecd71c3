package probe

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestSeriesAreBounded(t *testing.T) {
	r := New(newClock().Now)
	for i := range MaxSeries {
		r.Observe(Op(fmt.Sprint(i)), Govc, 0, nil)
	}
	if r.Dropped() != 0 || len(r.Snapshot()) != MaxSeries {
		t.Errorf("at the limit: %d dropped, %d series", r.Dropped(), len(r.Snapshot()))
	}
	r.Observe("one more", Govc, 0, nil)
	r.Observe("0", Govc, 0, nil)
	if r.Dropped() != 1 || len(r.Snapshot()) != MaxSeries {
		t.Errorf("one past it: %d dropped, %d series", r.Dropped(), len(r.Snapshot()))
	}
}

// TestMemoryIsBounded fills every bucket of every slot of a series and adds up
// what it holds: 20 of them stay below 10 MB.
func TestMemoryIsBounded(t *testing.T) {
	c := newClock()
	r := New(c.Now)
	for range 2 * SparkPoints {
		for bucket := 1; bucket < buckets; bucket++ {
			r.Observe(Read, Govc, time.Duration(valueOf(bucket))*time.Microsecond, nil)
		}
		c.Advance(SlotDuration)
	}
	s := (*r.series.Load())[seriesKey{Read, Govc}]
	held := 0
	for i := range s.slots {
		for _, p := range s.slots[i].pages {
			if p != nil {
				held++
			}
		}
	}
	held += len(s.free)
	if held > SparkPoints*pages {
		t.Errorf("the series holds %d pages, at most %d can be in use", held, SparkPoints*pages)
	}
	size := unsafe.Sizeof(*s) + uintptr(held)*unsafe.Sizeof(page{}) + uintptr(cap(s.free))*unsafe.Sizeof(s.free[0])
	if size > 10_000_000/20 {
		t.Errorf("the series takes %d bytes, the limit is 500,000", size)
	}
	t.Logf("a full series takes %d bytes", size)
}
