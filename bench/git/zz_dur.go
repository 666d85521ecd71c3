package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"runtime/pprof"
	"slices"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

var zzsys time.Duration

func init() {
	if len(os.Args) < 3 || os.Args[1] != "zz" {
		return
	}
	ctx := context.Background()
	if p := os.Getenv("ZZPROF"); p != "" {
		f, _ := os.Create(p)
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	switch os.Args[2] {
	case "import":
		n, _ := strconv.Atoi(os.Args[4])
		got, err := importOurs(ctx, os.Args[3], n, gitrepo.Options{})
		if err != nil {
			panic(err)
		}
		f := float64(n)
		fmt.Printf("import %.1f us/doc +compr %.1f cpu %.1f floor %.2f bytes %.0f fresh %.0f packs %d p99 %.1f\n", micros(got.total)/f, micros(got.total+got.settle)/f, micros(got.cpu)/f, got.floor.Median, float64(got.settled)/f, float64(got.fresh)/f, got.packs, got.perDoc.P99)
	case "single":
		start, _ := strconv.Atoi(os.Args[4])
		n, _ := strconv.Atoi(os.Args[5])
		s := &site{n: start, docs: start, dir: os.Args[3], ours: os.Args[3] + "/ours.git"}
		err := s.withRepo(gitrepo.Options{}, func(r *gitrepo.Repo) (err error) {
			disk, err := newFloor(s.dir)
			if err != nil {
				return err
			}
			defer disk.close(&err)
			size := makeDoc(0, 0).bytes()
			for range 5 {
				s.commitNew(ctx, r, 1)
			}
			var b, a syscall.Rusage
			var cpu time.Duration
			ours := &racer{count: n, time: 20 * time.Second, do: func(int) (time.Duration, error) {
				syscall.Getrusage(0, &b)
				d, err := s.commitNew(ctx, r, 1)
				syscall.Getrusage(0, &a)
				cpu += time.Duration(a.Utime.Nano() + a.Stime.Nano() - b.Utime.Nano() - b.Stime.Nano())
				zzsys += time.Duration(a.Stime.Nano() - b.Stime.Nano())
				return d, err
			}}
			replace := &racer{count: n / 2, time: 10 * time.Second, do: func(int) (time.Duration, error) { return disk.replace(size) }}
			app := &racer{count: n / 2, time: 10 * time.Second, do: func(int) (time.Duration, error) { return disk.append(size) }}
			f, err := race(ctx, ours, replace, app)
			if err != nil {
				return err
			}
			fmt.Printf("single %.0f us p99 %.0f cpu %.0f | replace %.0f append %.0f | ratio %.2f\n", f[0].Median, f[0].P99, micros(cpu)/float64(f[0].Count), f[1].Median, f[2].Median, f[0].Median/f[1].Median)
			slices.Sort(ours.times)
			slices.Sort(replace.times)
			fmt.Println("sys", micros(zzsys)/float64(f[0].Count))
			fmt.Printf("Q %.0f %.0f\n", micros(ours.times[len(ours.times)/5]), micros(replace.times[len(replace.times)/5]))
			return nil
		})
		if err != nil {
			panic(err)
		}
	}
	pprof.StopCPUProfile()
	os.Exit(0)
}
