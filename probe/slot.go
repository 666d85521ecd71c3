package probe

import (
	"math/bits"
	"time"
)

// The buckets are those of an HDR histogram from 1 us to 60 s with two
// significant digits: exact up to 255 us, then 128 to every doubling.
const (
	digits    = 2
	maxMicros = int64(60 * time.Second / time.Microsecond)
	pageSize  = 128
	pages     = 20
	buckets   = pages * pageSize
)

// bucketOf returns the bucket of a duration, rounded to microseconds and
// brought into the range of 1 us to 60 s.
func bucketOf(d time.Duration) int {
	us := uint64(min(max(d.Round(time.Microsecond).Microseconds(), 1), maxMicros))
	shift := max(0, bits.Len64(us)-8)
	return shift*pageSize + int(us>>shift)
}

// valueOf returns the lowest number of microseconds in a bucket.
func valueOf(bucket int) int64 {
	if bucket < 2*pageSize {
		return int64(bucket)
	}
	shift := bucket/pageSize - 1
	return int64(bucket-shift*pageSize) << shift
}

// page counts the buckets of one doubling. Most slots need few of them, which
// is what keeps a series small.
type page [pageSize]uint16

// slot is what happened within SlotDuration.
type slot struct {
	count, errors int64
	max           time.Duration
	pages         [pages]*page
	// wraps names, once for each time, the buckets whose counter went past its
	// 65,535.
	wraps []uint16
	// middle is the median when the slot had middleOf operations.
	middle   time.Duration
	middleOf int64
}

// add counts d in a bucket whose page is there.
func (s *slot) add(bucket int, d time.Duration) {
	counter := &s.pages[bucket/pageSize][bucket%pageSize]
	*counter++
	if *counter == 0 {
		s.wraps = append(s.wraps, uint16(bucket))
	}
	s.count++
	s.max = max(s.max, d)
}

// each yields the buckets that are not empty; one whose counter wrapped comes
// again for each time.
func (s *slot) each(yield func(bucket int, n uint32)) {
	for i, p := range s.pages {
		if p == nil {
			continue
		}
		for j, n := range p {
			if n > 0 {
				yield(i*pageSize+j, uint32(n))
			}
		}
	}
	for _, bucket := range s.wraps {
		yield(int(bucket), 1<<16)
	}
}

// median returns the p50 of the slot, 0 if nothing happened in it. It is
// computed again only after something has.
func (s *slot) median() time.Duration {
	if s.middleOf == s.count {
		return s.middle
	}
	var counts [buckets]uint32
	s.each(func(bucket int, n uint32) { counts[bucket] += n })
	half := (s.count + 1) / 2
	for bucket, n := range counts {
		half -= int64(n)
		if half <= 0 {
			upper := valueOf(bucket+1) - 1
			s.middle = min(time.Duration(upper)*time.Microsecond, s.max)
			break
		}
	}
	s.middleOf = s.count
	return s.middle
}
