package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caiatech/caiatop/backend/audit"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/durable/powercut"
)

func TestTheLifeOfAKey(t *testing.T) {
	at := newClock()
	r := Register{Dir: filepath.Join(t.TempDir(), "new"), Now: at.now}
	ctx := t.Context()
	key, _ := makeKey(t, r, "ci", "docs:read *:write", noon.Add(time.Hour))
	if _, _, err := r.CreateKey(ctx, KeyRequest{Name: "ci"}); !errors.Is(err, ErrExists) {
		t.Errorf("the same name: %v", err)
	}
	at.pass(time.Minute)
	gone, err := r.RevokeKey(ctx, "ci")
	if err != nil || gone.ID != key.ID || !gone.Revoked.Equal(at.now()) {
		t.Errorf("%+v, %v", gone, err)
	}
	at.pass(time.Minute)
	if again, err := r.RevokeKey(ctx, key.ID); err != nil || !again.Revoked.Equal(gone.Revoked) {
		t.Errorf("revoked again: %+v, %v", again, err)
	}
	if _, err := r.RevokeKey(ctx, "ci"); !errors.Is(err, ErrNotFound) {
		t.Errorf("by a name that is free: %v", err)
	}
	next, _ := makeKey(t, r, "ci", "", time.Time{})
	keys, err := r.Keys()
	if err != nil || len(keys) != 2 || keys[0].ID != key.ID || keys[1].ID != next.ID || len(keys[0].Scopes) != 2 {
		t.Errorf("%+v, %v", keys, err)
	}
	for path, want := range map[string]os.FileMode{r.Dir: 0o700, r.path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestTheLifeOfAGrant(t *testing.T) {
	r := Register{Dir: t.TempDir()}
	ctx := t.Context()
	must(t, r.Grant(ctx, "bob", scopes(t, "docs:write")...))
	must(t, r.Grant(ctx, "ann", scopes(t, "docs:read team-*:admin docs:write")...))
	grants, err := r.Grants()
	want := []Grant{{"ann", Scope{"docs", Write}}, {"ann", Scope{"team-*", Admin}}, {"bob", Scope{"docs", Write}}}
	if err != nil || !reflect.DeepEqual(grants, want) {
		t.Errorf("%v, %v", grants, err)
	}
	if _, err := r.Withdraw(ctx, "ann", "docs", "nothing"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if grants, _ := r.Grants(); len(grants) != 3 {
		t.Errorf("half of it was done: %v", grants)
	}
	if taken, err := r.Withdraw(ctx, "ann", "docs"); err != nil || !reflect.DeepEqual(taken, want[:1]) {
		t.Errorf("%v, %v", taken, err)
	}
	if taken, err := r.Withdraw(ctx, "ann"); err != nil || !reflect.DeepEqual(taken, want[1:2]) {
		t.Errorf("%v, %v", taken, err)
	}
	if _, err := r.Withdraw(ctx, "ann"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	r := Register{Dir: t.TempDir(), Now: newClock().now}
	ctx := t.Context()
	for _, name := range []string{"", "a b", "-a", "a\n", "é", repeated("a", maxSubject+1), "*"} {
		if _, _, err := r.CreateKey(ctx, KeyRequest{Name: name}); !errors.Is(err, ErrInvalid) {
			t.Errorf("key %q: %v", name, err)
		}
		if err := r.Grant(ctx, name, Scope{"docs", Read}); !errors.Is(err, ErrInvalid) {
			t.Errorf("grant %q: %v", name, err)
		}
	}
	for _, scope := range []string{"", "docs", "docs:", ":read", "docs:root", "docs:READ", "a*b:read", "**:read", "-a:read", "a/b:read", "docs:read ", repeated("a", maxPattern+1) + ":read"} {
		if s, err := ParseScope(scope); !errors.Is(err, ErrInvalid) {
			t.Errorf("scope %q: %v, %v", scope, s, err)
		}
	}
	if err := r.Grant(ctx, "ann", Scope{}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	for _, at := range []time.Time{noon, noon.Add(-time.Hour), latest.Add(time.Second)} {
		if _, _, err := r.CreateKey(ctx, KeyRequest{Name: "a", Expires: at}); !errors.Is(err, ErrInvalid) {
			t.Errorf("expires %v: %v", at, err)
		}
	}
	if _, err := os.Stat(r.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// TestKeysAreBounded: the oldest that works no more makes room.
func TestKeysAreBounded(t *testing.T) {
	var c contents
	for i := range MaxKeys {
		c.Keys = append(c.Keys, record{Key: Key{ID: fmt.Sprint(i)}})
	}
	if err := c.room(noon); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	c.Keys[7].Revoked, c.Keys[9].Expires = noon, noon
	for _, gone := range []string{"7", "9"} {
		must(t, c.room(noon))
		if len(c.Keys) != MaxKeys-1 || slices.ContainsFunc(c.Keys, func(k record) bool { return k.ID == gone }) {
			t.Errorf("%d keys, %s is still one of them", len(c.Keys), gone)
		}
		c.Keys = append(c.Keys, record{Key: Key{ID: "new"}})
	}
	if err := c.room(noon); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

// TestChangesAtOnceAreAllKept: each is made to what the one before left.
func TestChangesAtOnceAreAllKept(t *testing.T) {
	r := Register{Dir: t.TempDir()}
	const many = 12
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if err := r.Grant(context.Background(), fmt.Sprint("s", i), Scope{"docs", Read}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if grants, err := r.Grants(); err != nil || len(grants) != many {
		t.Errorf("%d grants, %v", len(grants), err)
	}
}

func TestALockedFileIsWaitedForInVain(t *testing.T) {
	r := Register{Dir: t.TempDir()}
	lock, err := durable.AcquireLock(filepath.Join(r.Dir, lockName))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Grant(ctx, "ann", Scope{"docs", Read}); !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	must(t, lock.Release())
	must(t, r.Grant(t.Context(), "ann", Scope{"docs", Read}))
}

const (
	oneHash = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
	oneKey  = `{"id":"5feceb66ffc8","name":"ci","scopes":["docs:read"],"created":"2026-11-23T12:00:00Z","sha256":"` + oneHash + `"}`
)

func TestAccessFilesThatAreRefused(t *testing.T) {
	file := func(keys, grants string) string {
		return `{"version":1,"keys":[` + keys + `],"grants":[` + grants + `]}`
	}
	const grant = `{"subject":"ann","scope":"docs:read"}`
	replaced := func(old, new string) string { return file(strings.Replace(oneKey, old, new, 1), "") }
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"empty lists":           {file("", ""), true},
		"no lists":              {`{"version":1}`, true},
		"key and grant":         {file(oneKey, grant), true},
		"revoked twin":          {file(oneKey+","+strings.NewReplacer("5feceb66ffc8", "6feceb66ffc8").Replace(strings.Replace(oneKey, `"created"`, `"revoked":"2026-11-23T12:00:00Z","created"`, 1)), ""), true},
		"nothing":               {"", false},
		"a list":                {"[]", false},
		"no version":            {`{"keys":[],"grants":[]}`, false},
		"next version":          {`{"version":2,"keys":[],"grants":[]}`, false},
		"more behind":           {file("", "") + "{}", false},
		"unknown field":         {`{"version":1,"admins":["ann"]}`, false},
		"other letters":         {`{"version":1,"Grants":[` + grant + `]}`, false},
		"field twice":           {`{"version":1,"grants":[` + grant + `],"grants":[]}`, false},
		"field twice, inside":   {file("", `{"subject":"ann","subject":"bob","scope":"docs:read"}`), false},
		"scope misspelt":        {file("", `{"subject":"ann","scope":"docs:reed"}`), false},
		"scope missing":         {file("", `{"subject":"ann"}`), false},
		"scope null":            {file("", `{"subject":"ann","scope":null}`), false},
		"scopes with null":      {replaced(`"docs:read"`, `null`), false},
		"subject missing":       {file("", `{"scope":"docs:read"}`), false},
		"grant twice":           {file("", grant+","+strings.Replace(grant, "read", "write", 1)), false},
		"key twice":             {file(oneKey+","+oneKey, ""), false},
		"name twice":            {file(oneKey+","+strings.NewReplacer("5feceb66ffc8", "6feceb66ffc8").Replace(oneKey), ""), false},
		"no hash":               {replaced(oneHash, ""), false},
		"short hash":            {replaced(oneHash, oneHash[:62]), false},
		"hash in other letters": {replaced(oneHash, strings.ToUpper(oneHash)), false},
		"id of another":         {replaced(`"id":"5`, `"id":"6`), false},
		"time is none":          {replaced("2026-11-23T12:00:00Z", "soon"), false},
		"cut off":               {file(oneKey, grant)[:100], false},
		"too large":             {file("", "") + repeated(" ", maxFile), false},
	} {
		got, err := decode([]byte(c.text))
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrInvalid)) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (got.Keys != nil || got.Grants != nil) {
			t.Errorf("%s: %+v beside an error", name, got)
		}
	}
}

// TestAWrongFileStopsTheStart, and does not end what holds while it runs.
func TestAWrongFileStopsTheStart(t *testing.T) {
	at := newClock()
	o := Options{Dir: t.TempDir(), Now: at.now}
	r := Register{Dir: o.Dir, Now: at.now}
	_, key := makeKey(t, r, "ci", "docs:read", time.Time{})
	c := control(t, o)
	good, err := os.ReadFile(r.path())
	must(t, err)
	for name, spoil := range map[string]func(){
		"wrong":   func() { must(t, os.WriteFile(r.path(), []byte(`{"version":1,"kyes":[]}`), 0o600)) },
		"for all": func() { must(t, os.Chmod(r.path(), 0o644)) },
	} {
		spoil()
		if _, err := New(o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s at the start: %v", name, err)
		}
		at.pass(checkEvery)
		who, err := c.Authenticate(request("X-API-Key", key))
		if err != nil || c.Allow(who, "docs", Read) != nil || !errors.Is(c.Problem(), ErrInvalid) || !errors.Is(c.Reload(), ErrInvalid) {
			t.Errorf("%s while it runs: %v, problem %v", name, err, c.Problem())
		}
		must(t, os.WriteFile(r.path(), good, 0o600))
		must(t, os.Chmod(r.path(), 0o600))
		at.pass(checkEvery)
		if _, err := c.Authenticate(request("X-API-Key", key)); err != nil || c.Problem() != nil {
			t.Errorf("%s, mended: %v, %v", name, err, c.Problem())
		}
	}
}

// TestAFileThatIsGoneIsAProblem until it is there again.
func TestAFileThatIsGoneIsAProblem(t *testing.T) {
	at := newClock()
	o := Options{Dir: t.TempDir(), Now: at.now}
	r := Register{Dir: o.Dir, Now: at.now}
	_, key := makeKey(t, r, "ci", "docs:read", time.Time{})
	c := control(t, o)
	good, err := os.ReadFile(r.path())
	must(t, err)
	must(t, os.Remove(r.path()))
	for range 2 {
		at.pass(checkEvery)
		if _, err := c.Authenticate(request("X-API-Key", key)); err == nil || !errors.Is(c.Problem(), fs.ErrNotExist) {
			t.Errorf("gone: %v, problem %v", err, c.Problem())
		}
	}
	must(t, os.WriteFile(r.path(), good, 0o600))
	at.pass(checkEvery)
	if _, err := c.Authenticate(request("X-API-Key", key)); err != nil || c.Problem() != nil {
		t.Errorf("back: %v, problem %v", err, c.Problem())
	}
}

// TestTheFileIsLookedAtOnceASecond, and read only where it may have changed.
func TestTheFileIsLookedAtOnceASecond(t *testing.T) {
	at := newClock()
	dir := t.TempDir()
	r := Register{Dir: dir}
	must(t, r.Grant(t.Context(), "ann", Scope{"docs", Read}))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(r.path(), old, old))
	c := control(t, Options{Dir: dir, Keyring: keyring(t, goodSecret), Now: at.now})
	at.pass(checkEvery)
	c.refresh()
	first := c.current.Load()
	ann := Identity{Kind: JWT, Subject: "ann", Expires: noon.Add(time.Hour)}
	must(t, c.Allow(ann, "docs", Read))
	if at.pass(checkEvery); c.Allow(ann, "docs", Read) != nil || c.current.Load() != first {
		t.Error("a file that did not change was read again")
	}
	must(t, r.Grant(t.Context(), "ann", Scope{"docs", Write}))
	at.pass(checkEvery - time.Nanosecond)
	wantDenied(t, "within the second", c.Allow(ann, "docs", Write), ErrForbidden, Permission)
	at.pass(time.Nanosecond)
	must(t, c.Allow(ann, "docs", Write))
	// A file of the same size, written within one tick of the file system's
	// clock, is noticed, too.
	second := c.current.Load()
	if second.same(second.info) {
		t.Error("a file that was written this moment is taken for settled")
	}
}

// TestLastUseIsADay, written once a day and key, and lost without harm.
func TestLastUseIsADay(t *testing.T) {
	disk := powercut.New()
	at := newClock()
	o := Options{Dir: "/data", Volume: disk.Volume(), Now: at.now}
	c := control(t, o)
	used, usedKey := makeKey(t, c.Register(), "used", "", time.Time{})
	idle, _ := makeKey(t, c.Register(), "idle", "", time.Time{})
	must(t, c.Reload())
	authenticate := func(times int) int {
		before := disk.Count(powercut.Rename)
		for range times {
			_, err := c.Authenticate(request("X-API-Key", usedKey))
			must(t, err)
		}
		return disk.Count(powercut.Rename) - before
	}
	if n := authenticate(10); n != 1 {
		t.Errorf("written %d times", n)
	}
	c = control(t, o)
	if n := authenticate(10); n != 0 {
		t.Errorf("after a start written %d times", n)
	}
	at.pass(24 * time.Hour)
	if n := authenticate(10); n != 1 {
		t.Errorf("the next day written %d times", n)
	}
	days, err := c.Register().LastUsed()
	if err != nil || days[used.ID] != "2026-11-24" || days[idle.ID] != "" {
		t.Errorf("%v, %v", days, err)
	}
	must(t, disk.Volume().WriteFile("/data/"+usedName, []byte("{"), 0o600))
	c = control(t, o)
	if n := authenticate(1); n != 1 {
		t.Errorf("over a damaged file written %d times", n)
	}
	disk.Fail(powercut.Fault{Kind: powercut.Rename, N: 1, Err: 28, Lasting: true})
	at.pass(24 * time.Hour)
	if n := authenticate(10); n != 1 {
		t.Errorf("on a full disk tried %d times", n)
	}
}

// TestChangesAreRecorded, with who made them and without what is secret, and are
// not made where they cannot be recorded.
func TestChangesAreRecorded(t *testing.T) {
	disk := powercut.New()
	r := Register{Dir: "/data", Volume: disk.Volume(), Now: newClock().now, By: "root", Via: "shell"}
	key, secret := makeKey(t, r, "ci", "docs:read", time.Time{})
	must(t, r.Grant(t.Context(), "ann", scopes(t, "docs:write team-*:read")...))
	if _, err := r.Withdraw(t.Context(), "ann", "docs"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RevokeKey(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	var got []string
	report, err := audit.Scan(disk.Volume(), "/data/"+AuditDir, AuditName, func(e audit.Entry) error {
		if e.Who != "root" || e.Via != "shell" || e.Result != audit.OK || !e.Time.Equal(noon) || strings.Contains(fmt.Sprint(e), secret[:20]) {
			t.Errorf("%+v", e)
		}
		got = append(got, e.What+" "+e.Ref)
		return nil
	})
	want := []string{
		"apikey.create " + key.ID + " ci docs:read", "grant.add ann docs:write", "grant.add ann team-*:read",
		"grant.remove ann docs:write", "apikey.revoke " + key.ID + " ci",
	}
	if err != nil || !slices.Equal(got, want) || report.Lines != len(want) {
		t.Errorf("%q, %+v, %v", got, report, err)
	}

	disk.Before(func(op powercut.Op) {
		if op.Kind == powercut.Create && strings.Contains(op.Path, AuditDir) {
			disk.Fail(powercut.Fault{Kind: powercut.Create, N: 1, Err: 5})
		}
	})
	if err := r.Grant(t.Context(), "bob", Scope{"docs", Read}); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error(err)
	}
	if grants, err := r.Grants(); err != nil || len(grants) != 1 {
		t.Errorf("%v, %v", grants, err)
	}
}
