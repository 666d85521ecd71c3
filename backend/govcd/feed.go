package govcd

import (
	"slices"
	"sync"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

const (
	// MaxBacklog bounds the moves that a stream of events can be behind, and
	// those that it can be resumed over; a gap is told.
	MaxBacklog = 1024
	// MaxStreams bounds the streams of events of one repository; more answer 503.
	MaxStreams = 64
	// MaxAllStreams bounds those of all repositories, so that connections are
	// left for others.
	MaxAllStreams = MaxConnections / 4
)

// move is one step of a branch.
type move struct {
	branch        string
	before, after gitrepo.Hash // before is zero for a new branch's first commit
}

// feed tells moves to those who listen, and remembers the latest. Whoever adds
// one never waits. The zero value is ready.
type feed struct {
	mu        sync.Mutex
	latest    []move // the oldest first
	listeners map[*listener]struct{}
	closed    bool
}

// listener is one stream of events.
type listener struct {
	moves chan move     // closed with the stream's end
	slow  chan struct{} // closed if the reader was too slow
}

func (f *feed) add(m move) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.latest) >= 2*MaxBacklog { // moved rarely, not with every commit
		f.latest = append(f.latest[:0], f.latest[len(f.latest)-MaxBacklog:]...)
	}
	f.latest = append(f.latest, m)
	for l := range f.listeners {
		select {
		case l.moves <- m:
		default: // cut, not waited for
			close(l.slow)
			delete(f.listeners, l)
		}
	}
}

// listen begins a stream, and returns the moves that came before it; false if
// there are too many streams, or the repository is closed.
func (f *feed) listen() (l *listener, earlier []move, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.listeners) >= MaxStreams {
		return nil, nil, false
	}
	l = &listener{moves: make(chan move, MaxBacklog), slow: make(chan struct{})}
	if f.listeners == nil {
		f.listeners = map[*listener]struct{}{}
	}
	f.listeners[l] = struct{}{}
	earlier = f.latest[max(0, len(f.latest)-MaxBacklog):]
	return l, slices.Clone(earlier), true
}

// leave ends a stream.
func (f *feed) leave(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
}

// hangUp ends all streams; new ones may begin.
func (f *feed) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		close(l.moves)
		delete(f.listeners, l)
	}
}

// close ends all streams for good.
func (f *feed) close() {
	f.hangUp()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}
