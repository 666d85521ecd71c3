package term

import (
	"sync"
	"time"
)

// frameGap is the least time between two frames.
const frameGap = time.Second / 60

// Screen draws frames in a session. Close it after use.
type Screen struct {
	session *Session
	changed chan struct{} // capacity one: there is something to do
	stop    chan struct{}
	done    chan struct{}
	closing sync.Once

	mu     sync.Mutex
	frame  string // the newest
	size   Size
	drawn  bool // frame is on the terminal, or on its way
	forget bool // nothing is known of what the terminal shows
	stats  Stats
}

// Stats counts what a Screen did since it was made.
type Stats struct {
	Frames  uint64 // written
	Bytes   uint64 // of these frames
	Dropped uint64 // replaced by a newer one before they were written
	Wakes   uint64 // times that the drawing goroutine had anything to look at
}

// NewScreen returns a Screen that draws in s between its Enter and Leave.
func NewScreen(s *Session) *Screen {
	c := &Screen{
		session: s, drawn: true,
		changed: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go c.run()
	return c
}

// Draw shows a frame of lines on a terminal of that size, soon. It never waits
// for the terminal: of frames that come faster than they can be shown the newest
// counts.
func (c *Screen) Draw(frame string, size Size) {
	c.mu.Lock()
	if frame == c.frame && size == c.size {
		c.mu.Unlock()
		return
	}
	if !c.drawn {
		c.stats.Dropped++
	}
	c.frame, c.size, c.drawn = frame, size, false
	c.mu.Unlock()
	c.wake()
}

// Forget says that the terminal may show anything now: the newest frame is
// drawn anew, as a whole.
func (c *Screen) Forget() {
	c.mu.Lock()
	c.forget, c.drawn = true, false
	c.mu.Unlock()
	c.wake()
}

// Stats returns what was counted so far.
func (c *Screen) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Close ends the drawing. A frame that waits is not shown any more. A write that
// the terminal does not take is given up by the session's Leave, which must have
// been called.
func (c *Screen) Close() {
	c.closing.Do(func() { close(c.stop) })
	select {
	case <-c.done:
	case <-c.session.abandoned(): // the connection's end ends the goroutine
	}
}

func (c *Screen) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// run draws. Without a new frame it waits for one and for nothing else; the
// timer is armed only while a frame waits.
func (c *Screen) run() {
	defer close(c.done)
	var p painter
	var last time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Stop()
	for {
		select {
		case <-c.changed:
		case <-c.stop:
			return
		}
		c.count(func(s *Stats) { s.Wakes++ })
		if wait := frameGap - time.Since(last); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.stop:
				return
			}
		}
		c.draw(&p)
		last = time.Now()
	}
}

// draw writes the newest frame. What cannot be written is unknown afterwards.
func (c *Screen) draw(p *painter) {
	c.mu.Lock()
	frame, size, drawn := c.frame, c.size, c.drawn
	if c.forget {
		p.forget()
	}
	c.drawn, c.forget = true, false
	c.mu.Unlock()
	if drawn || size.Width <= 0 || size.Height <= 0 {
		return
	}
	out := p.paint(frame, size)
	if len(out) == 0 {
		return
	}
	n, err := c.session.put(out)
	if err != nil {
		p.forget() // Enter is followed by Forget, a lost terminal by the end
	}
	c.count(func(s *Stats) {
		s.Bytes += uint64(n)
		if err == nil {
			s.Frames++
		}
	})
}

func (c *Screen) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}
