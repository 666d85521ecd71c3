// Command wire measures the govc wire: the service of caiatop (backend/govcd)
// on a loopback port, asked by caiatop's own client (backend/govc: Apply and
// Get, as the engine does) and by bare HTTP, which shows what of it is the
// service's. It prints one table.
//
// Every figure stands beside a floor that is measured in turn with it, so that
// both see the same machine: an echo of net/http with bodies of the same size,
// asked by the library that the client is made of (resty) or by net/http; for
// durable writes the raw append and fsync of the same bytes. Every loop is bounded
// in count and in time; figures are medians.
//
// No figure is an assertion: a slow run ends with 0. It ends with 1 if something
// is broken: a commit that was acknowledged and is not in the log, a commit that
// holds more or less than its document or has another author, a document that
// cannot be read back as it was put. 2 is wrong use, 130 an interrupt.
//
// It binds loopback ports of its own choice, and writes nothing but what --json
// and --profile name and, for the durable rows, a temporary folder that it
// removes (TMPDIR chooses where). It never asks a service that it did not start,
// and asserts no time.
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
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/durable"
)

const (
	defaultSizes = "1000,100000"
	minSize      = 100
	maxSize      = 500_000
	defaultLimit = 5 * time.Minute

	exitBroken      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// errBroken: the service did something wrong, whatever its speed.
var errBroken = errors.New("broken")

// options are what the command line says.
type options struct {
	sizes   []int // rising
	json    string
	profile string
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
		say(progress, "bench-wire: %v\n", err)
		return exitUsage
	}
	limited, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	var rep *report
	err = profiled(o.profile, func() (err error) {
		rep, err = measure(limited, o, progress)
		return err
	})
	err = errors.Join(err, rep.print(out))
	if o.json != "" {
		err = errors.Join(err, rep.save(o.json))
	}
	switch {
	case ctx.Err() != nil:
		say(progress, "bench-wire: interrupted\n")
		return exitInterrupted
	case limited.Err() != nil:
		say(progress, "bench-wire: not done within %v; give --limit or smaller --sizes\n%v\n", o.limit, err)
		return exitBroken
	case err != nil:
		say(progress, "bench-wire: %v\n", err)
		return exitBroken
	}
	return 0
}

func parse(args []string, messages io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench-wire", flag.ContinueOnError)
	set.SetOutput(messages)
	sizes := set.String("sizes", defaultSizes, "numbers of documents, separated by commas, at most 500000 each")
	set.StringVar(&o.json, "json", "", "also write the table as JSON to this `file`")
	set.StringVar(&o.profile, "profile", "", "write a profile of the processor, for go tool pprof, to this `file`")
	set.DurationVar(&o.limit, "limit", defaultLimit, "end after this time, whatever is left")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q is not understood; sizes are given with --sizes", set.Arg(0))
	}
	for field := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < minSize || n > maxSize {
			return o, fmt.Errorf("--sizes %q: use whole numbers from %d to %d", *sizes, minSize, maxSize)
		}
		if len(o.sizes) > 0 && n <= o.sizes[len(o.sizes)-1] {
			return o, fmt.Errorf("--sizes %q: give them in rising order", *sizes)
		}
		o.sizes = append(o.sizes, n)
	}
	for flag, name := range map[string]string{"--json": o.json, "--profile": o.profile} {
		if name == "" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return o, fmt.Errorf("%s %s: %w; name a file in a folder that is there", flag, name, err)
		}
	}
	if o.limit <= 0 {
		return o, errors.New("--limit must be more than nothing")
	}
	return o, nil
}

// profiled calls do, and writes a profile of it if a file is named.
func profiled(name string, do func() error) (err error) {
	if name == "" {
		return do()
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return do()
}

// measure runs all sections. With an error the report has what was measured
// until then.
func measure(ctx context.Context, o options, progress io.Writer) (rep *report, err error) {
	rep = &report{progress: progress, started: time.Now(), Machine: machineFacts()}
	defer func() {
		rep.finish()
		if err != nil {
			rep.Unfinished = err.Error()
		}
	}()
	echo, err := startEcho()
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, echo.close()) }()
	var sites []*site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	for _, n := range o.sizes {
		s := &site{n: n, rep: rep, echo: echo, samples: o.samples}
		sites = append(sites, s)
		if err := s.open(ctx); err != nil {
			return rep, fmt.Errorf("%d documents: %w", n, err)
		}
	}
	if err := growth(ctx, rep, sites); err != nil {
		return rep, fmt.Errorf("growth: %w", err)
	}
	for i, s := range sites {
		sections := []func(context.Context) error{s.puts, s.gets, s.batches}
		if i == len(sites)-1 {
			sections = append(sections, s.crowds, s.durable)
		}
		for _, section := range sections {
			if err := section(ctx); err != nil {
				return rep, fmt.Errorf("%d documents: %w", s.n, err)
			}
		}
	}
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
