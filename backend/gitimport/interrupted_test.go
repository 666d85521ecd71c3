package gitimport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestAnImportIsInterrupted(t *testing.T) {
	const batch, commits = 20, 50
	s := newSource(t, "--bare")
	s.fastImport(stream(commits, 40))
	into, dir := target(t)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := imported(ctx, t, s.dir, into, options(func(o *Options) { o.commits, o.bytes, o.Progress = 20, 4000, func(Report) { cancel() } })); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	r := must(t, s.dir, into, options())
	if r.Earlier != 2*batch || r.Imported != 10 || r.Documents != 40 {
		t.Errorf("%+v", r)
	}
	wantText(t, into, "d9", fmt.Sprint("step ", commits-1))
	wantOnce(t, dir, commits)
}

// A commit that is larger than a batch becomes several; interrupted between
// them, it begins again.
func TestALargeCommitIsInterrupted(t *testing.T) {
	s := newSource(t)
	for i := range 5 {
		s.write("2026/03", fmt.Sprint("d", i), strings.Repeat("x", 1000))
	}
	s.commit("Large")
	into, dir := target(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := imported(ctx, t, s.dir, into, options(func(o *Options) { o.commits, o.bytes, o.Progress = 20, 4000, func(Report) { cancel() } })); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r := must(t, s.dir, into, options(func(o *Options) { o.bytes = 4000 }))
	if r.Earlier != 0 || r.Imported != 1 || r.Documents != 5 {
		t.Errorf("%+v", r)
	}
	wantOnce(t, dir, 1)
	if got := gitIn(t, dir, "rev-list", "--count", "main"); got != "2" {
		t.Errorf("%s commits", got)
	}
}
