package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/durable"
	"github.com/caiatech/caiatop/backend/store"
	"github.com/caiatech/caiatop/probe/httpapi"
)

// dying is a session whose engine answers each delete with the next error.
type dying struct {
	Session
	errs   *[]error
	closed *int
}

func (d dying) Delete(context.Context, []string) (httpapi.Ack, error) {
	err := (*d.errs)[0]
	*d.errs = (*d.errs)[1:]
	return httpapi.Ack{}, err
}

func (d dying) Close(context.Context) error { *d.closed++; return nil }

func TestARequestFollowsTheEngine(t *testing.T) {
	full := errors.New("full")
	for name, tt := range map[string]struct {
		errs   []error
		opened int
		want   error
	}{
		"answered":              {[]error{nil}, 0, nil},
		"refused":               {[]error{full}, 0, full},
		"gone once":             {[]error{httpapi.ErrGone, nil}, 1, nil},
		"gone and not running":  {[]error{httpapi.ErrGone, httpapi.ErrNotRunning, nil}, 2, nil},
		"never sent, not found": {[]error{httpapi.ErrNotRunning, httpapi.ErrNotFound}, 1, httpapi.ErrNotFound},
		"sent twice, not found": {[]error{httpapi.ErrGone, httpapi.ErrNotFound}, 1, errLostDelete},
	} {
		t.Run(name, func(t *testing.T) {
			opened, closed := 0, 0
			session := dying{errs: &tt.errs, closed: &closed}
			f := &following{current: session, patience: time.Minute, open: func(context.Context) (Session, error) { opened++; return session, nil }}
			_, err := f.Delete(t.Context(), []string{"a"})
			if !errors.Is(err, tt.want) || opened != tt.opened || closed != opened {
				t.Errorf("%v, want %v; %d opened, %d closed", err, tt.want, opened, closed)
			}
		})
	}
}

// halfWay is an engine that dies after it wrote the first of what it is given.
type halfWay struct {
	Session
	there map[string]httpapi.Document
	puts  *[][]string
}

func (h halfWay) Get(_ context.Context, id string) (httpapi.Document, error) {
	d, ok := h.there[id]
	if !ok {
		return d, httpapi.ErrNotFound
	}
	return d, nil
}

func (h halfWay) Put(_ context.Context, docs []httpapi.Document) (httpapi.Ack, error) {
	var ids []string
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	*h.puts = append(*h.puts, ids)
	if len(*h.puts) > 1 {
		return httpapi.Ack{Durability: "local"}, nil
	}
	stored := docs[0]
	stored.CreatedAt, stored.UpdatedAt = time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
	d, err := fromAPI(stored)
	if err != nil {
		return httpapi.Ack{}, err
	}
	d.UpdatedAt = stored.UpdatedAt
	hash, err := d.Hash()
	stored.Hash = hash.String()
	h.there[stored.ID] = stored
	return httpapi.Ack{}, errors.Join(err, httpapi.ErrGone)
}

func (h halfWay) Close(context.Context) error { return nil }

// TestAPutWhoseAnswerWasLostIsWrittenTwice: what arrived is not written again as a
// new version.
func TestAPutWhoseAnswerWasLostIsWrittenTwice(t *testing.T) {
	var puts [][]string
	s := halfWay{there: map[string]httpapi.Document{}, puts: &puts}
	f := &following{current: s, patience: time.Minute, open: func(context.Context) (Session, error) { return s, nil }}
	docs := []httpapi.Document{{ID: "a", Type: "text", Text: "one"}, {ID: "b", Type: "text", Text: "two"}}
	if _, err := f.Put(t.Context(), docs); err != nil || len(puts) != 2 || len(puts[1]) != 1 || puts[1][0] != "b" {
		t.Errorf("put %q, %v", puts, err)
	}
	puts = nil
	s.there = map[string]httpapi.Document{}
	f.current = s
	if ack, err := f.Put(t.Context(), docs[:1]); err != nil || len(puts) != 1 || ack.Durability != "local" {
		t.Errorf("put %q: %+v, %v", puts, ack, err)
	}
}

func TestFollowingEnds(t *testing.T) {
	closed := 0
	errs := []error{httpapi.ErrGone}
	f := &following{current: dying{errs: &errs, closed: &closed}, patience: time.Minute, open: func(context.Context) (Session, error) { return nil, ErrNoneRuns }}
	if _, err := f.Delete(t.Context(), nil); !errors.Is(err, ErrNoneRuns) {
		t.Errorf("none left: %v", err)
	}
	if _, err := f.Delete(t.Context(), nil); !errors.Is(err, ErrNoneRuns) {
		t.Errorf("afterwards: %v", err)
	}
	if err := f.Close(t.Context()); err != nil || closed != 1 {
		t.Errorf("%v, closed %d times", err, closed)
	}
	synctest.Test(t, func(t *testing.T) {
		always := func(context.Context) (Session, error) {
			<-time.After(lockRetry) // of the clock of the bubble
			return dying{errs: &[]error{httpapi.ErrGone}, closed: &closed}, nil
		}
		first, err := always(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		f := &following{current: first, patience: lockPatience, open: always}
		_, err = f.Delete(t.Context(), nil)
		if took := time.Since(start); !errors.Is(err, httpapi.ErrGone) || took < lockPatience || took > lockPatience+time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestPatience(t *testing.T) {
	path := t.TempDir() + "/lock"
	holder, err := durable.AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	err = patiently(t.Context(), lockPatience, func() error {
		if tries++; tries == 2 {
			if err := holder.Release(); err != nil {
				t.Error(err)
			}
		}
		lock, err := durable.AcquireLock(path)
		if err == nil {
			err = lock.Release()
		}
		return err
	})
	if err != nil || tries != 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := unstarted(t.Context(), "/s", patiently(t.Context(), lockPatience, func() error { return &durable.LockedError{PID: 7} }))
		if took := time.Since(start); Code(err) != ExitTempFail || took != lockPatience {
			t.Errorf("exit code %d after %s: %v", Code(err), took, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err = unstarted(ctx, "/s", patiently(ctx, lockPatience, func() error { return &durable.LockedError{PID: 7} }))
		if Code(err) != ExitInterrupted {
			t.Errorf("interrupted: exit code %d: %v", Code(err), err)
		}
	})
}

func TestRefusedCredentialsHaveACode(t *testing.T) {
	err := apiError(store.ErrUnauthorized)
	if Code(err) != ExitPermission || !strings.Contains(advice(err), "GOVC_AUTH_TOKEN") {
		t.Errorf("exit code %d, advice %q", Code(err), advice(err))
	}
}

func TestAdviceWithoutKeys(t *testing.T) {
	for in, want := range map[string]string{
		"It lasts until you press r (caiatop recover)":                            "It lasts until you run caiatop recover",
		"start again, or press r (caiatop recover) once the service accepts them": "start again, or run caiatop recover once the service accepts them",
		"Nothing to do": "Nothing to do",
	} {
		if got := withoutKeys(in); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSizesThatRoundToTheSame(t *testing.T) {
	if got := tooLarge(document.MaxContent + 1).Error(); !strings.Contains(got, "it has 10,485,761 bytes, a document holds at most 10,485,760 bytes") {
		t.Error(got)
	}
	if got := tooLarge(2 * document.MaxContent).Error(); !strings.Contains(got, "it has 20.0 MiB, a document holds at most 10.0 MiB") {
		t.Error(got)
	}
}

// TestNoInputIsNoEmptyDocument: a closed stdin is the null device to a program,
// and emptied the document.
func TestNoInputIsNoEmptyDocument(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&app{Deps: Deps{Stdin: null}}).readDocument("-", "x", "", "", nil)
	if Code(err) != ExitData || !strings.Contains(err.Error(), "standard input is /dev/null") || !strings.Contains(advice(err), ": |") {
		t.Errorf("%v; %s", err, advice(err))
	}
	if err := null.Close(); err != nil {
		t.Error(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&app{Deps: Deps{Stdin: r}}).readDocument("-", "x", "", "", nil); err != nil {
		t.Errorf("an empty pipe: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := checkInput(r); !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EBADF) {
		t.Errorf("a closed file: %v", err)
	}
}
