package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Limits of a log.
const (
	// LogMegabytes is the size of a log file, in MiB, at which a new one is begun.
	LogMegabytes = 10
	// LogBackups is how many old files are kept.
	LogBackups = 3
	// logMode is who may read the files: they quote documents.
	logMode = 0o600
	// maxLine is the longest line in bytes; longer ones are left out and counted.
	maxLine = 64 << 10
	// queued is how many lines wait for the disk; further ones are left out and
	// counted.
	queued = 512
	// tellEvery is how often a log may say that it fails, at most.
	tellEvery = time.Minute
	// closeLimit is how long Close waits for a disk that does not answer.
	closeLimit = 2 * time.Second
)

// ErrLogStuck: the disk took longer than Close waits; the last lines may be
// missing.
var ErrLogStuck = errors.New("the disk did not take the last lines of the log in time")

// Log is a log file of JSON lines, which begins a new one when it is full and
// keeps a few old ones. One goroutine writes; whoever logs never waits for the
// disk and never hears of its failures. What could not be written is counted,
// told to the journal that is followed, and the next line is tried again.
type Log struct {
	level   slog.Level
	handler slog.Handler // of callers, into lines
	direct  slog.Handler // of the goroutine, to the file
	file    io.WriteCloser
	now     func() time.Time

	lines  chan []byte
	follow chan *Journal
	lost   atomic.Uint64

	stop chan struct{}
	once sync.Once
	done chan struct{}
	err  error // of closing the file; read after done

	// Of the goroutine alone.
	journal *Journal
	next    uint64    // the number of the first entry that was not looked at
	failing bool      // the last write failed
	torn    bool      // the file may end within a line
	told    time.Time // when a failure was told last
	missing uint64    // lines lost before the failure that was told last, or told
}

// OpenLog opens or begins the log file at path, in a folder that is there, for
// records of at least that level. Close it.
func OpenLog(path string, level slog.Level) (*Log, error) {
	// The library opens with the first line and leaves the mode of a file as it
	// is; whether it can be written is better known at the start.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, logMode)
	if err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	if err := errors.Join(file.Chmod(logMode), file.Close()); err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	return newLog(&lumberjack.Logger{Filename: path, MaxSize: LogMegabytes, MaxBackups: LogBackups}, level, time.Now), nil
}

func newLog(file io.WriteCloser, level slog.Level, now func() time.Time) *Log {
	l := &Log{
		level: level, file: file, now: now, next: 1, missing: told,
		lines: make(chan []byte, queued), follow: make(chan *Journal),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	l.handler = slog.NewJSONHandler(queue{l}, &slog.HandlerOptions{Level: level})
	l.direct = slog.NewJSONHandler(direct{l}, &slog.HandlerOptions{Level: level})
	go l.run()
	return l
}

// Handler takes records of the log. It never waits for the disk, and never
// returns an error.
func (l *Log) Handler() slog.Handler { return l.handler }

// Follow writes the entries of a journal, those it holds already included, but
// for those that came from the log. It is called once.
func (l *Log) Follow(j *Journal) {
	select {
	case l.follow <- j:
	case <-l.done:
	}
}

// Lost returns how many lines could not be written so far.
func (l *Log) Lost() uint64 { return l.lost.Load() }

// Close writes what waits and closes the file; what comes later is lost. A disk
// that does not answer within two seconds is given up, with ErrLogStuck.
func (l *Log) Close() error {
	l.once.Do(func() { close(l.stop) })
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-l.done:
		return l.err
	case <-limit.C:
		return ErrLogStuck
	}
}

// queue takes the lines of callers: one call a record, in memory that is the
// handler's.
type queue struct{ *Log }

func (q queue) Write(line []byte) (int, error) {
	select {
	case <-q.stop:
		q.lost.Add(1)
		return len(line), nil
	default:
	}
	if len(line) > maxLine {
		q.lost.Add(1)
		return len(line), nil
	}
	select {
	case q.lines <- append([]byte(nil), line...):
	default:
		q.lost.Add(1)
	}
	return len(line), nil
}

// run is the goroutine that writes.
func (l *Log) run() {
	defer close(l.done)
	var added <-chan struct{}
	for {
		select {
		case line := <-l.lines:
			l.write(line)
		case j := <-l.follow:
			l.journal, l.next = j, 1
			added = j.Added()
			l.catchUp()
		case <-added:
			added = l.journal.Added()
			l.catchUp()
		case <-l.stop:
			l.finish()
			return
		}
	}
}

// finish writes what waits and closes the file.
func (l *Log) finish() {
	for {
		select {
		case line := <-l.lines:
			l.write(line)
			continue
		default:
		}
		break
	}
	l.catchUp()
	l.err = l.file.Close()
}

// catchUp writes the entries that were not looked at yet.
func (l *Log) catchUp() {
	if l.journal == nil {
		return
	}
	for _, e := range l.journal.Since(l.next - 1) {
		l.lost.Add(e.Seq - l.next) // those that left the ring meanwhile
		l.next = e.Seq + 1
		if level := e.Level.slog(); !e.logged && level >= l.level {
			r := slog.NewRecord(e.At, level, e.Text, 0)
			r.AddAttrs(slog.String(KindKey, e.Kind))
			if e.Next != "" {
				r.AddAttrs(slog.String(NextKey, e.Next))
			}
			// Its writer takes everything and has no error to return.
			_ = l.direct.Handle(context.Background(), r)
		}
	}
}

func (l Level) slog() slog.Level {
	return []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError}[l.rank()]
}

// direct writes lines of the goroutine itself.
type direct struct{ *Log }

func (d direct) Write(line []byte) (int, error) {
	d.write(line)
	return len(line), nil
}

// write puts one line into the file. A line that failed is lost; one that may
// have left its beginning there is ended before the next.
func (l *Log) write(line []byte) {
	if l.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := l.file.Write(line)
	if err != nil {
		l.torn = l.torn || n > 0
		l.lost.Add(1)
		l.fail(err)
		return
	}
	l.torn = false
	if l.failing {
		l.failing = false
		l.recovered()
	}
}

// fail tells of the first failure of a row, but not more often than tellEvery.
// Telling ends there: an entry that cannot be written is a failure of the same
// row.
func (l *Log) fail(err error) {
	again := l.failing
	l.failing = true
	if now := l.now(); l.journal != nil && !again && (l.told.IsZero() || now.Sub(l.told) >= tellEvery) {
		l.told, l.missing = now, l.Lost()-1
		l.journal.Add(Entry{
			At: now, Level: Warning, Kind: kindOfLog,
			Text: fmt.Sprintf("The log file cannot be written: %v", err),
			Next: "Nothing else stops; make room on the disk, the next line is tried again.",
		})
	}
}

// recovered tells what is missing, once for each told failure.
func (l *Log) recovered() {
	if l.journal == nil || l.missing == told {
		return
	}
	l.journal.Add(Entry{
		At: l.now(), Level: Info, Kind: kindOfLog,
		Text: fmt.Sprintf("The log file is written again; %d lines are missing", l.Lost()-l.missing),
	})
	l.missing = told
}

// told instead of a number says that what is missing was told.
const told = ^uint64(0)
