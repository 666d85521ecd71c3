package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/caiatech/caiatop/backend/gitrepo"
)

func init() {
	if len(os.Args) < 4 || os.Args[1] != "imp" {
		return
	}
	n, _ := strconv.Atoi(os.Args[3])
	os.RemoveAll(os.Args[2])
	r, err := gitrepo.OpenDisk(os.Args[2], gitrepo.Options{})
	if err != nil {
		panic(err)
	}
	commits := ahead(0, n)
	if p := os.Getenv("ZZPROF"); p != "" {
		f, _ := os.Create(p)
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	runtime.LockOSThread()
	var a, b, c, d syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &c)
	syscall.Getrusage(1, &a)
	t := time.Now()
	for _, m := range commits {
		if _, err := r.Commit(context.Background(), input(m.changes)); err != nil {
			panic(err)
		}
	}
	took := time.Since(t)
	syscall.Getrusage(1, &b)
	syscall.Getrusage(syscall.RUSAGE_SELF, &d)
	m0 := r.Maintenance()
	us := func(x, y syscall.Rusage) float64 {
		return float64(y.Utime.Nano()+y.Stime.Nano()-x.Utime.Nano()-x.Stime.Nano()) / 1000 / float64(n)
	}
	load := us(c, d)
	t = time.Now()
	if err := r.Settle(context.Background()); err != nil {
		panic(err)
	}
	st := time.Since(t)
	syscall.Getrusage(syscall.RUSAGE_SELF, &d)
	size, packs, _ := objectBytes(os.Args[2])
	fmt.Printf("imp wall %.1f us, thread cpu %.1f, all cpu in load %.1f, settle wall %.1f, all cpu %.1f | runs %d packs %d -> %d, %.0f B\n", micros(took)/float64(n), us(a, b), load, micros(st)/float64(n), us(c, d), m0.Runs, m0.Packs, packs, float64(size)/float64(n))
	r.Close()
	pprof.StopCPUProfile()
	os.RemoveAll(os.Args[2])
	os.Exit(0)
}
