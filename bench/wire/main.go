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
	"runtime/pprof"
	"time"

	"github.com/caiatech/caiatop/bench/beside"
)

var program = beside.Program{Name: "bench-wire", Sizes: "1000,100000", MinSize: 100, MaxSize: 500_000, Limit: 5 * time.Minute}

// errBroken: the service did something wrong, whatever its speed.
var errBroken = errors.New("broken")

// options are what the command line says.
type options struct {
	beside.Options
	profile string
}

func main() { beside.Main(run) }

// run is main with its surroundings given, and returns the exit code.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	if err != nil {
		return program.Refused(err, progress)
	}
	return program.Run(ctx, o.Limit, progress, func(ctx context.Context) error {
		var rep *report
		err := profiled(o.profile, func() (err error) {
			rep, err = measure(ctx, o, progress)
			return err
		})
		if rep == nil {
			return err
		}
		return errors.Join(err, rep.print(out), beside.Save(o.JSON, rep))
	})
}

func parse(args []string, messages io.Writer) (o options, err error) {
	o.Options, err = program.Parse(args, messages, func(set *flag.FlagSet) map[string]*string {
		set.StringVar(&o.profile, "profile", "", "write a profile of the processor, for go tool pprof, to this `file`")
		return map[string]*string{"--profile": &o.profile}
	})
	return o, err
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
	rep = &report{progress: beside.Progress{To: progress, Begun: time.Now()}, Machine: beside.ThisMachine()}
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
	for _, n := range o.Sizes {
		s := &site{n: n, rep: rep, echo: echo, samples: o.Samples}
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
