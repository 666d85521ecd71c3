package probe

import (
	"sync"
	"time"
)

// rateSeconds is the window of OpStats.Rate.
const rateSeconds = 10

// series is what is measured of one pair of operation and store. Its time is
// elapsed, which only moves forward: steps of the clock are added to it, and a
// step backwards is a step of zero.
type series struct {
	mu      sync.Mutex
	last    time.Time     // the clock at the last advance
	elapsed time.Duration // since the recorder began

	slots  [SparkPoints]slot // a ring; slot n is at n modulo its length
	window [buckets]uint32   // the sum of the slots' counts
	free   []*page           // pages of expired slots, to be used again

	// seconds counts successes; a ring of one more than rateSeconds, because
	// the current second is not over.
	seconds [rateSeconds + 1]int64

	// Since the recorder began, whatever left the window.
	total, totalErrors int64
	totalTime          time.Duration
}

func newSeries(now time.Time, elapsed time.Duration) *series {
	return &series{last: now, elapsed: max(0, elapsed)}
}

func (s *series) current() *slot { return &s.slots[s.slotNumber()%SparkPoints] }

func (s *series) slotNumber() int64   { return int64(s.elapsed / SlotDuration) }
func (s *series) secondNumber() int64 { return int64(s.elapsed / time.Second) }

// advance moves the series to now and forgets what left the window.
func (s *series) advance(now time.Time) {
	step := now.Sub(s.last)
	s.last = now
	if step <= 0 {
		return
	}
	slotBefore, secondBefore := s.slotNumber(), s.secondNumber()
	s.elapsed += step
	for n := max(slotBefore+1, s.slotNumber()-SparkPoints+1); n <= s.slotNumber(); n++ {
		s.expire(&s.slots[n%SparkPoints])
	}
	for n := max(secondBefore+1, s.secondNumber()-rateSeconds); n <= s.secondNumber(); n++ {
		s.seconds[n%int64(len(s.seconds))] = 0
	}
}

// expire takes a slot's counts out of the window and empties it.
func (s *series) expire(old *slot) {
	if old.count == 0 && old.errors == 0 {
		return
	}
	old.each(func(bucket int, n uint32) { s.window[bucket] -= n })
	for i, p := range old.pages {
		if p != nil {
			*p = page{}
			s.free = append(s.free, p)
			old.pages[i] = nil
		}
	}
	*old = slot{pages: old.pages, wraps: old.wraps[:0]}
}

// forget empties the window. The totals stay.
func (s *series) forget() {
	for i := range s.slots {
		s.expire(&s.slots[i])
	}
	s.seconds = [rateSeconds + 1]int64{}
}

func (s *series) add(d time.Duration) {
	s.total++
	s.totalTime += max(0, d)
	bucket := bucketOf(d)
	now := s.current()
	if now.pages[bucket/pageSize] == nil {
		now.pages[bucket/pageSize] = s.newPage()
	}
	now.add(bucket, d)
	s.window[bucket]++
	s.seconds[s.secondNumber()%int64(len(s.seconds))]++
}

func (s *series) newPage() *page {
	last := len(s.free) - 1
	if last < 0 {
		return new(page)
	}
	p := s.free[last]
	s.free = s.free[:last]
	return p
}

func (s *series) fail() {
	s.totalErrors++
	s.current().errors++
}

// fill writes everything but the percentiles of the window.
func (s *series) fill(stats *OpStats) {
	stats.Total, stats.TotalErrors, stats.TotalTime = s.total, s.totalErrors, s.totalTime
	newest := s.slotNumber()
	for i := range SparkPoints {
		n := newest - SparkPoints + 1 + int64(i)
		if n < 0 {
			continue
		}
		of := &s.slots[n%SparkPoints]
		stats.Count += of.count
		stats.Errors += of.errors
		stats.Max = max(stats.Max, of.max)
		stats.LatencySeries[i] = of.median()
		over := SlotDuration
		if n == newest {
			// The current slot is not over; its first second counts as a
			// whole, so that the first operation does not look like a storm.
			over = max(time.Second, s.elapsed%SlotDuration)
		}
		stats.RateSeries[i] = float64(of.count) / over.Seconds()
	}
	stats.Rate = s.rate()
}

// rate weighs the oldest second by the part of it that is within the window.
func (s *series) rate() float64 {
	now := s.secondNumber()
	var sum float64
	for n := max(0, now-rateSeconds); n <= now; n++ {
		count := float64(s.seconds[n%int64(len(s.seconds))])
		if n == now-rateSeconds {
			count *= 1 - float64(s.elapsed%time.Second)/float64(time.Second)
		}
		sum += count
	}
	return sum / rateSeconds
}
