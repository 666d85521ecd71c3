package term

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is an output that keeps what was written, and takes nothing while it is
// held.
type wire struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	held   chan struct{} // closed: takes bytes
}

func open() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (w *wire) Write(b []byte) (int, error) {
	<-w.held
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	return w.text.Write(b)
}

func (w *wire) taken() (string, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String(), w.writes
}

func enter(t *testing.T, out io.Writer) (*Session, *Screen) {
	t.Helper()
	s := New(Streams{In: strings.NewReader(""), Out: out})
	if err := s.Enter(); err != nil {
		t.Fatal(err)
	}
	return s, NewScreen(s)
}

func TestAtMostSixtyFramesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &wire{held: open()}
		s, screen := enter(t, out)
		const rounds = 1000
		for i := range rounds {
			screen.Draw(fmt.Sprint(i), Size{10, 1})
			time.Sleep(time.Millisecond) //nolint:forbidigo // fake time
		}
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		text, writes := out.taken()
		if writes < 59 || writes > 61 {
			t.Errorf("%d frames in a second, want 60", writes)
		}
		if !strings.Contains(text, fmt.Sprint(rounds-1)) {
			t.Error("the newest frame was not drawn")
		}
		stats := screen.Stats()
		if stats.Frames != uint64(writes) || stats.Frames+stats.Dropped != rounds {
			t.Errorf("%+v do not make %d", stats, rounds)
		}
		if err := s.Leave(); err != nil {
			t.Error(err)
		}
		screen.Close()
	})
}

func TestNothingWakesAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &wire{held: open()}
		s, screen := enter(t, out)
		screen.Draw("frame", Size{10, 1})
		synctest.Wait()
		before := screen.Stats()
		for range 100 {
			time.Sleep(time.Minute)           //nolint:forbidigo // fake time
			screen.Draw("frame", Size{10, 1}) // the model was updated, and shows the same
		}
		synctest.Wait()
		if after := screen.Stats(); after != before || after.Frames != 1 {
			t.Errorf("%+v before, %+v after an hour of rest", before, after)
		}
		if err := s.Leave(); err != nil {
			t.Error(err)
		}
		screen.Close()
	})
}

func TestAStuckTerminalHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &wire{held: make(chan struct{})}
		s, screen := enter(t, out)
		for i := range 100 {
			screen.Draw(fmt.Sprint(i), Size{10, 1})
			synctest.Wait()
		}
		if stats := screen.Stats(); stats.Dropped != 98 {
			t.Errorf("%+v: one is being written, one waits, 98 are dropped", stats)
		}
		began := time.Now()
		if err := s.Leave(); err == nil {
			t.Error("the terminal took nothing, and Leave says that all is well")
		}
		screen.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the end took %s", took)
		}
		if err := s.Enter(); err == nil {
			t.Error("a session that was given up was entered again")
		}
		close(out.held) // the end of the connection
		synctest.Wait()
		if text, _ := out.taken(); !strings.HasSuffix(text, leaveModes) || strings.Count(text, leaveModes) != 1 {
			t.Errorf("written in the end: %q", text)
		}
	})
}

func TestForgetDrawsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &wire{held: open()}
		s, screen := enter(t, out)
		screen.Draw("frame", Size{10, 1})
		synctest.Wait()
		screen.Forget()
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if text, _ := out.taken(); strings.Count(text, "frame") != 2 {
			t.Errorf("drawn: %q", text)
		}
		if err := s.Leave(); err != nil {
			t.Error(err)
		}
		// What comes while the terminal is away is shown afterwards.
		screen.Draw("later", Size{10, 1})
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if text, _ := out.taken(); strings.Contains(text, "later") || !strings.HasSuffix(text, leaveModes) {
			t.Errorf("written to a terminal that was given back: %q", text)
		}
		if err := s.Enter(); err != nil {
			t.Fatal(err)
		}
		screen.Forget()
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if text, _ := out.taken(); !strings.Contains(text, "later") || strings.Count(text, enterModes) != 2 {
			t.Errorf("not shown after the return: %q", text)
		}
		if err := s.Leave(); err != nil {
			t.Error(err)
		}
		screen.Close()
	})
}

func TestEnterAndLeaveTwice(t *testing.T) {
	out := &wire{held: open()}
	s := New(Streams{In: strings.NewReader(""), Out: out})
	for range 2 {
		if err := s.Leave(); err != nil { // before any Enter
			t.Error(err)
		}
	}
	screen := NewScreen(s)
	for range 2 {
		if err := s.Enter(); err != nil {
			t.Error(err)
		}
	}
	screen.Draw("x", Size{1, 1})
	poll(t, "a frame", func() bool { return screen.Stats().Frames == 1 })
	var leaving sync.WaitGroup
	for range 4 {
		leaving.Go(func() {
			if err := s.Leave(); err != nil {
				t.Error(err)
			}
		})
	}
	leaving.Wait()
	screen.Close()
	screen.Close()
	if text, _ := out.taken(); strings.Count(text, "\x1b[?1049h") != 1 || strings.Count(text, "\x1b[?1049l") != 1 {
		t.Errorf("written: %q", text)
	}
}

func TestTheEndOfTheInputIsTold(t *testing.T) {
	s := New(Streams{In: strings.NewReader("q"), Out: io.Discard})
	if all, err := io.ReadAll(s.In()); string(all) != "q" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
	select {
	case <-s.Lost():
	default:
		t.Error("nothing can be typed any more, and nobody is told")
	}
	if s.Size() != unknownSize || s.Local() || s.Jobs() != nil {
		t.Errorf("a bare session has size %v, local %t", s.Size(), s.Local())
	}
}
