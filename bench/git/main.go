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
	"path/filepath"
	"strconv"
	"time"

	"github.com/caiatech/caiatop/bench/beside"
)

const (
	defaultCommits = 10_000
	maxCommits     = 100_000
)

var program = beside.Program{
	Name: "bench-git", Sizes: "1000,10000,100000", MinSize: batchDocs / 10, MaxSize: 1_000_000, Limit: 20 * time.Minute,
	Left: ", everything was removed",
}

// options are what the command line says.
type options struct {
	beside.Options
	commits int // one-document commits of the history at the largest size
}

func main() { beside.Main(run) }

// run is main with its surroundings given, and returns the exit code.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	if err != nil {
		return program.Refused(err, progress)
	}
	return program.Run(ctx, o.Limit, progress, func(ctx context.Context) error {
		return inTemporary(func(dir string) error {
			rep, err := measure(ctx, o, dir, progress)
			if rep == nil {
				return err
			}
			// Before the folder goes: half a million files take their time.
			return errors.Join(err, rep.print(out), beside.Save(o.JSON, rep))
		})
	})
}

func parse(args []string, messages io.Writer) (o options, err error) {
	o.Options, err = program.Parse(args, messages, func(set *flag.FlagSet) map[string]*string {
		set.IntVar(&o.commits, "commits", defaultCommits, "one-document commits of the history at the largest size")
		return nil
	})
	if err == nil && (o.commits < 1 || o.commits > maxCommits) {
		err = fmt.Errorf("--commits is 1 to %d", maxCommits)
	}
	return o, err
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
	rep = &report{progress: beside.Progress{To: progress, Begun: time.Now()}}
	if rep.Machine, err = machineFacts(ctx, dir); err != nil {
		return nil, err
	}
	var fit []int
	for _, n := range o.Sizes {
		if why := noRoom(dir, n, o.commits); why != "" {
			rep.skip(n, "everything: "+why)
		} else {
			fit = append(fit, n)
		}
	}
	for i, n := range fit {
		last := i == len(fit)-1
		s := &site{n: n, dir: filepath.Join(dir, strconv.Itoa(n)), rep: rep, samples: o.Samples}
		if last {
			s.commits = o.commits
		}
		if err := s.all(ctx); err != nil {
			rep.finish()
			rep.Unfinished = fmt.Sprintf("%s documents: %v", beside.Count(n), err)
			return rep, fmt.Errorf("%d documents: %w", n, err)
		}
		if !last {
			// The next one wants the room; that of the last goes after the table.
			if err := os.RemoveAll(s.dir); err != nil {
				return rep, err
			}
		}
	}
	rep.growth(o.Sizes)
	rep.finish()
	return rep, nil
}
