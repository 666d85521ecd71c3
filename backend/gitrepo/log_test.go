package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/document"
)

func hashes(t testing.TB, r *Repo, from Hash, o LogOptions) []string {
	t.Helper()
	commits, err := r.Log(context.Background(), from, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range commits {
		out = append(out, c.Hash.String())
	}
	return out
}

func TestLog(t *testing.T) {
	both(t, func(t *testing.T, r *Repo) {
		var made []string
		for i := range 6 {
			name := "even"
			if i%2 == 1 {
				name = "d/odd"
			}
			made = append(made, commit(t, r, put(t, name, fmt.Sprint(i))).String())
		}
		gone := commit(t, r, del(t, "d"))
		made = append(made, gone.String())
		newest := slices.Clone(made)
		slices.Reverse(newest)
		cases := []struct {
			o    LogOptions
			want []string
		}{
			{LogOptions{}, newest},
			{LogOptions{Limit: 2, Skip: 1}, newest[1:3]},
			{LogOptions{Skip: 7}, nil},
			{LogOptions{Path: path(t, "d/odd")}, []string{made[6], made[5], made[3], made[1]}},
			{LogOptions{Path: path(t, "d"), Limit: 1}, []string{made[6]}},
			{LogOptions{Path: path(t, "even")}, []string{made[4], made[2], made[0]}},
			{LogOptions{Path: path(t, "even/below")}, nil},
			{LogOptions{Path: path(t, "never")}, nil},
		}
		for _, c := range cases {
			if got := hashes(t, r, gone, c.o); !slices.Equal(got, c.want) {
				t.Errorf("%+v: got %v, want %v", c.o, got, c.want)
			}
		}
		if _, err := r.Log(context.Background(), Hash{1}, LogOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown commit: %v", err)
		}
	})
}

func TestLogOfMergesAgreesWithRealGit(t *testing.T) {
	needGit(t)
	r, dir := disked(t)
	at := when
	next := func() time.Time { at = at.Add(time.Second); return at }
	tip := commit(t, r, put(t, "a", "0"), put(t, "d/b", "0"))
	if err := r.CreateBranch("side", tip); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		commitOn(t, r, "main", next(), put(t, "a", fmt.Sprint(i, "main")))
		commitOn(t, r, "side", next(), put(t, fmt.Sprintf("d/%d", i), "side"))
		if _, err := r.Merge(context.Background(), MergeInput{From: "side", Author: ann, At: next()}); err != nil {
			t.Fatal(err)
		}
		commitOn(t, r, "main", next(), put(t, "d/b", fmt.Sprint("v", i)))
	}
	tip, err := r.Tip("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a", "d", "d/b", "d/2", "none"} {
		args := []string{"log", "--format=%H", "main"}
		var p document.Path
		if name != "" {
			p = path(t, name)
			args = append(args, "--", name)
		}
		want := strings.Fields(git(t, dir, args...))
		if got := hashes(t, r, tip, LogOptions{Path: p}); !slices.Equal(got, want) {
			t.Errorf("log of %q: got %v, git says %v", name, got, want)
		}
	}
}
