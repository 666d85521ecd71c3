// Package beside is the frame of the programs that measure things beside each
// other: the race that takes samples of all of them in turn, so that they see
// the same machine, the description of that machine, and what their command
// lines have in common.
//
// Every loop is bounded in count and in time. No figure is an assertion: a slow
// run ends with 0. It uses no network, and writes nothing but what Save is told.
package beside

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

// The exit codes.
const (
	ExitBroken      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Program is what is different about a program.
type Program struct {
	Name    string // "bench-git"
	Sizes   string // the default, with commas
	MinSize int
	MaxSize int
	Limit   time.Duration // the default
	// Left is what an interrupt leaves, for a message.
	Left string
}

// Options are what the command lines of all say.
type Options struct {
	Sizes   []int // rising
	JSON    string
	Limit   time.Duration
	Samples int // of each thing, 0 for as many as it likes; tests want few
}

// Main calls run with the surroundings of the process, and ends it.
func Main(run func(ctx context.Context, args []string, out, progress io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Parse reads a command line. more declares the flags that only this program
// has, and those of them that name files, by their flags, are looked at.
func (p Program) Parse(args []string, messages io.Writer, more func(*flag.FlagSet) (files map[string]*string)) (Options, error) {
	var o Options
	set := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	set.SetOutput(messages)
	sizes := set.String("sizes", p.Sizes, fmt.Sprintf("numbers of documents, separated by commas, at most %d each", p.MaxSize))
	set.StringVar(&o.JSON, "json", "", "also write the table as JSON to this `file`")
	set.DurationVar(&o.Limit, "limit", p.Limit, "end after this time, whatever is left")
	files := more(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q is not understood; sizes are given with --sizes", set.Arg(0))
	}
	for field := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < p.MinSize || n > p.MaxSize {
			return o, fmt.Errorf("--sizes %q: use whole numbers from %d to %d", *sizes, p.MinSize, p.MaxSize)
		}
		if len(o.Sizes) > 0 && n <= o.Sizes[len(o.Sizes)-1] {
			return o, fmt.Errorf("--sizes %q: give them in rising order", *sizes)
		}
		o.Sizes = append(o.Sizes, n)
	}
	if o.Limit <= 0 {
		return o, errors.New("--limit must be more than nothing")
	}
	err := inFolder("--json", o.JSON)
	for flag, name := range files {
		err = errors.Join(err, inFolder(flag, *name))
	}
	return o, err
}

// inFolder refuses a file that cannot be made, before anything is measured.
func inFolder(flag, name string) error {
	if name == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%s %s: %w; name a file in a folder that is there", flag, name, err)
	}
	return nil
}

// Refused is the exit code for what Parse returned.
func (p Program) Refused(err error, progress io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	Say(progress, "%s: %v\n", p.Name, err)
	return ExitUsage
}

// Run calls measure within the limit, says how it ended and returns the exit
// code.
func (p Program) Run(ctx context.Context, limit time.Duration, progress io.Writer, measure func(ctx context.Context) error) int {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := measure(limited)
	switch {
	case ctx.Err() != nil:
		Say(progress, "%s: interrupted%s\n", p.Name, p.Left)
		return ExitInterrupted
	case limited.Err() != nil:
		Say(progress, "%s: not done within %v; give --limit or smaller --sizes\n%v\n", p.Name, limit, err)
		return ExitBroken
	case err != nil:
		Say(progress, "%s: %v\n", p.Name, err)
		return ExitBroken
	}
	return 0
}

// Encode makes JSON of a report.
func Encode(report any) ([]byte, error) {
	data, err := json.MarshalIndent(report, "", "  ")
	return append(data, '\n'), err
}

// Save writes a report as JSON, if a file is named.
func Save(name string, report any) error {
	if name == "" {
		return nil
	}
	data, err := Encode(report)
	if err != nil {
		return err
	}
	return durable.WriteFile(name, data, 0o644)
}

// Must is for constants of a program.
func Must[T any](v T, err error) T {
	if err != nil {
		panic("bench: a constant is refused: " + err.Error())
	}
	return v
}

// Progress tells whoever watches what is done.
type Progress struct {
	To    io.Writer
	Begun time.Time
}

// Step tells what is done now.
func (p Progress) Step(n int, what string) {
	Say(p.To, "%6.1f s  %s documents: %s\n", p.Seconds(), Count(n), what)
}

// Seconds are those since the beginning.
func (p Progress) Seconds() float64 { return time.Since(p.Begun).Seconds() }

// Say writes to where people read along; there is nothing to do if nobody does.
func Say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// Count writes a number of documents as short as it can be.
func Count(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return strconv.Itoa(n/1_000_000) + "M"
	case n >= 1000 && n%1000 == 0:
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}

// Dash is a cell of a table, "-" for an empty one.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
