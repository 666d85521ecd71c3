// Command git compares the git core of caiatop (backend/gitrepo) with the real
// git command, both in the same run on the same machine, and prints one table.
//
// For each number of documents it builds one repository of ours and one of real
// git from the same documents: about 1.3 KB each, two files, text of seeded
// words, in the fan-out layout. What is compared runs in turn, so that both
// sides see the same machine, and beside a floor: the least that the hardware
// needs for it (a write with fsync, the hashes). Every loop is bounded in count
// and in time. The table gives the median and the 99th percentile of ours, the
// medians of floor and peer, how many times the floor ours costs, how many times
// ours the peer costs, the target and whether it was reached; all figures are
// costs, so that less is better. Targets hold for 100,000 documents and more.
//
// No figure is an assertion: a slow run ends with 0. It ends with 1 if something
// is broken: `git fsck --strict --full` finds anything, the trees that both
// sides made of the same documents differ, a file is missing, what was read is
// not what was written. 2 is wrong use, 130 an interrupt.
//
// Everything lies in one temporary folder (TMPDIR chooses where), which is
// removed at the end and on an interrupt. It never touches a repository of the
// user, reads no configuration of git, asserts no time and uses no network.
package main

import (
	"context"
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

const (
	defaultSizes   = "1000,10000,100000"
	maxSize        = 1_000_000
	defaultCommits = 10_000
	maxCommits     = 100_000
	defaultLimit   = 20 * time.Minute

	exitBroken      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// options are what the command line says.
type options struct {
	sizes   []int // rising
	commits int   // one-document commits of the history at the largest size
	json    string
	limit   time.Duration
	samples int // of each thing, 0 for as many as it likes; tests want few
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings given, and returns the exit code.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		say(progress, "bench-git: %v\n", err)
		return exitUsage
	}
	limited, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	err = inTemporary(func(dir string) error {
		rep, err := measure(limited, o, dir, progress)
		if rep == nil {
			return err
		}
		// Before the folder goes: half a million files take their time.
		err = errors.Join(err, rep.print(out))
		if o.json != "" {
			err = errors.Join(err, rep.save(o.json))
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		say(progress, "bench-git: interrupted, everything was removed\n")
		return exitInterrupted
	case limited.Err() != nil:
		say(progress, "bench-git: not done within %v; give --limit or smaller --sizes\n%v\n", o.limit, err)
		return exitBroken
	case err != nil:
		say(progress, "bench-git: %v\n", err)
		return exitBroken
	}
	return 0
}

func parse(args []string, messages io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench-git", flag.ContinueOnError)
	set.SetOutput(messages)
	sizes := set.String("sizes", defaultSizes, "numbers of documents, separated by commas, at most 1000000 each")
	set.IntVar(&o.commits, "commits", defaultCommits, "one-document commits of the history at the largest size")
	set.StringVar(&o.json, "json", "", "also write the table as JSON to this `file`")
	set.DurationVar(&o.limit, "limit", defaultLimit, "end after this time, whatever is left")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q is not understood; sizes are given with --sizes", set.Arg(0))
	}
	for field := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < batchDocs/10 || n > maxSize {
			return o, fmt.Errorf("--sizes %q: use whole numbers from %d to %d", *sizes, batchDocs/10, maxSize)
		}
		if len(o.sizes) > 0 && n <= o.sizes[len(o.sizes)-1] {
			return o, fmt.Errorf("--sizes %q: give them in rising order", *sizes)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.json != "" {
		if _, err := os.Stat(filepath.Dir(o.json)); err != nil {
			return o, fmt.Errorf("--json %s: %w; name a file in a folder that is there", o.json, err)
		}
	}
	if o.commits < 1 || o.commits > maxCommits || o.limit <= 0 {
		return o, fmt.Errorf("--commits is 1 to %d, --limit more than nothing", maxCommits)
	}
	return o, nil
}

// inTemporary calls do with a folder that is removed afterwards.
func inTemporary(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "caiatop-bench-git-")
	if err != nil {
		return err
	}
	return errors.Join(do(dir), os.RemoveAll(dir))
}

// measure runs all sections below dir. The report is nil only if nothing could
// be begun; with an error it has what was measured until then.
func measure(ctx context.Context, o options, dir string, progress io.Writer) (rep *report, err error) {
	rep = &report{progress: progress, started: time.Now()}
	if rep.Machine, err = machineFacts(ctx, dir); err != nil {
		return nil, err
	}
	var fit []int
	for _, n := range o.sizes {
		if why := noRoom(dir, n, o.commits); why != "" {
			rep.skip(n, "everything: "+why)
		} else {
			fit = append(fit, n)
		}
	}
	for i, n := range fit {
		last := i == len(fit)-1
		s := &site{n: n, dir: filepath.Join(dir, strconv.Itoa(n)), rep: rep, samples: o.samples}
		if last {
			s.commits = o.commits
		}
		if err := s.all(ctx); err != nil {
			rep.finish()
			rep.Unfinished = fmt.Sprintf("%s documents: %v", count(n), err)
			return rep, fmt.Errorf("%d documents: %w", n, err)
		}
		if !last {
			// The next one wants the room; that of the last goes after the table.
			if err := os.RemoveAll(s.dir); err != nil {
				return rep, err
			}
		}
	}
	rep.growth(o.sizes)
	rep.finish()
	return rep, nil
}

// save writes the report as JSON.
func (r *report) save(name string) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(name, data, 0o644)
}

// say writes to where people read along; there is nothing to do if nobody does.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
