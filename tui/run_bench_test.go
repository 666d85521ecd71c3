package tui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/creack/pty"
	"github.com/muesli/termenv"

	"github.com/caiatech/caiatop/backend/engine"
	"github.com/caiatech/caiatop/tui/term"
)

// drawers are our drawing and that of Bubble Tea, of the same model.
var drawers = []struct {
	name string
	run  func(context.Context, *Model, *os.File) error
}{
	{"own", func(ctx context.Context, m *Model, tty *os.File) error {
		s, err := term.Local(tty, tty)
		if err != nil {
			return err
		}
		defer s.Close() //nolint:errcheck // a benchmark
		return show(ctx, m, s)
	}},
	{"stock", func(ctx context.Context, m *Model, tty *os.File) error {
		p := tea.NewProgram(m, tea.WithInput(tty), tea.WithOutput(tty), tea.WithAltScreen(), tea.WithoutSignalHandler())
		defer context.AfterFunc(ctx, p.Quit)()
		_, err := p.Run()
		return err
	}},
}

// shownModel is a model on a terminal that is read as fast as it writes.
type shownModel struct {
	master *os.File
	wrote  chan struct{} // capacity one
	feed   feed
	end    func()
}

func benchModel(b *testing.B, run func(context.Context, *Model, *os.File) error) *shownModel {
	b.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		b.Skipf("no pseudo terminal here: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 120, Rows: 40}); err != nil {
		b.Fatal(err)
	}
	s := &shownModel{master: master, wrote: make(chan struct{}, 1), feed: feed{make(chan *engine.Stats, 1)}}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI256)
	lib := newLibrary(b, 200)
	ctx, stop := context.WithCancel(b.Context())
	m := New(ctx, Options{Feed: s.feed, Documents: lib, Control: lib, Renderer: r, Location: time.UTC})
	var running, reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			if _, err := master.Read(buffer); err != nil {
				return
			}
			select {
			case s.wrote <- struct{}{}:
			default:
			}
		}
	})
	running.Go(func() {
		if err := run(ctx, m, tty); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	})
	s.end = func() {
		stop()
		running.Wait()
		m.Close()
		tty.Close() //nolint:errcheck // a benchmark
		reading.Wait()
		master.Close() //nolint:errcheck // a benchmark
	}
	s.feed.c <- healthy()
	<-s.wrote
	s.pause(300 * time.Millisecond)
	s.press(b, "2")
	s.pause(500 * time.Millisecond)
	return s
}

func (s *shownModel) press(b *testing.B, key string) {
	if _, err := s.master.WriteString(key); err != nil {
		b.Fatal(err)
	}
}

// pause waits, and forgets what was written meanwhile.
func (s *shownModel) pause(d time.Duration) {
	<-time.After(d)
	select {
	case <-s.wrote:
	default:
	}
}

// BenchmarkKeyToScreen measures from a key to the bytes that show its effect.
// Keys come at a pace of no renderer's.
func BenchmarkKeyToScreen(b *testing.B) {
	for _, d := range drawers {
		b.Run(d.name, func(b *testing.B) {
			s := benchModel(b, d.run)
			defer s.end()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				s.press(b, []string{"j", "k"}[i%2])
				<-s.wrote
				took = append(took, time.Since(began))
				s.pause(time.Duration(31+i%17) * time.Millisecond)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/p50")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms/p95")
		})
	}
}

// BenchmarkRest measures what a console costs that shows the same for 5 s, and
// one that shows something else once a second.
func BenchmarkRest(b *testing.B) {
	const rest = 5 * time.Second
	for _, hertz := range []int{0, 1} {
		for _, d := range drawers {
			b.Run(fmt.Sprintf("%s/%dHz", d.name, hertz), func(b *testing.B) {
				s := benchModel(b, d.run)
				defer s.end()
				s.press(b, "1")
				s.pause(500 * time.Millisecond)
				switches, cpu, n := voluntary(b), used(b), 0
				for b.Loop() {
					n++
					if hertz == 0 {
						s.pause(rest)
						continue
					}
					for i := range int(rest / time.Second) {
						next := healthy()
						next.At = next.At.Add(time.Duration(n*10+i) * time.Second)
						next.Documents += int64(n*10 + i)
						s.feed.c <- next
						s.pause(time.Second)
					}
				}
				seconds := rest.Seconds() * float64(n)
				b.ReportMetric(float64(voluntary(b)-switches)/seconds, "wakeups/s")
				b.ReportMetric((used(b)-cpu).Seconds()/seconds*100, "%cpu")
			})
		}
	}
}

// voluntary counts the voluntary context switches of all threads.
func voluntary(b *testing.B) (n int64) {
	b.Helper()
	names, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(names) == 0 {
		b.Skip("threads cannot be counted here")
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			continue // the thread has ended
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if count, ok := strings.CutPrefix(lines.Text(), "voluntary_ctxt_switches:"); ok {
				var k int64
				if _, err := fmt.Sscan(count, &k); err != nil {
					b.Fatal(err)
				}
				n += k
			}
		}
		f.Close() //nolint:errcheck // only read
	}
	return n
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
