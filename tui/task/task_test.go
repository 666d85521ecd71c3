package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"go.uber.org/goleak"

	"github.com/caiatech/caiatop/backend/document"
	"github.com/caiatech/caiatop/backend/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAPanicBecomesANotice(t *testing.T) {
	r := New(t.Context())
	defer r.Close()
	msg := r.Go("juggling", time.Second, func(context.Context) tea.Msg { panic("dropped \x1b[31m") })()
	notice, ok := msg.(Notice)
	if !ok || notice.Level != Failed || len(notice.Full) == 0 {
		t.Fatalf("got %#v", msg)
	}
	if text := notice.Text.String(); !strings.Contains(text, "Juggling failed") || !strings.Contains(text, "dropped ^[[31m") {
		t.Errorf("told: %q", text)
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(t.Context())
		defer r.Close()
		began := time.Now()
		msg := r.Go("waiting", 3*time.Second, func(ctx context.Context) tea.Msg {
			<-ctx.Done()
			return ctx.Err()
		})()
		if msg != context.DeadlineExceeded || time.Since(began) != 3*time.Second {
			t.Errorf("ended with %v after %v", msg, time.Since(began))
		}
	})
}

func TestCloseCancelsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(t.Context())
		ended := false
		cmd := r.Go("waiting", 0, func(ctx context.Context) tea.Msg {
			<-ctx.Done()
			ended = true
			return nil
		})
		go cmd()
		synctest.Wait()
		r.Close()
		if !ended {
			t.Error("Close returned before the task did")
		}
		if msg := r.Go("late", 0, func(context.Context) tea.Msg { return "ran" })(); msg != nil {
			t.Errorf("a task ran after Close: %v", msg)
		}
	})
}

func TestStartCancelsOne(t *testing.T) {
	r := New(t.Context())
	defer r.Close()
	cmd, cancel := r.Start("one", 0, func(ctx context.Context) tea.Msg { return ctx.Err() })
	cancel()
	if msg := cmd(); msg != context.Canceled {
		t.Errorf("got %v", msg)
	}
	if msg := r.Go("other", 0, func(ctx context.Context) tea.Msg { return ctx.Err() })(); msg != nil {
		t.Errorf("another task was cancelled too: %v", msg)
	}
}

func TestEveryErrorHasAReasonAndAdvice(t *testing.T) {
	for _, k := range known {
		err := fmt.Errorf("put %q: %w", "x", k.err)
		if Advice(err) != k.advice || Reason(err) == "" {
			t.Errorf("%v: %q, %q", k.err, Reason(err), Advice(err))
		}
	}
	_, invalid := document.ParseID("a/b")
	if got := Reason(invalid); !strings.Contains(got, "holds '/'") {
		t.Errorf("the rule that was broken is not told: %q", got)
	}
	if got := Advice(errors.New("disk on fire")); got == "" {
		t.Error("no advice for an unknown error")
	}
	n := Failure("saving", fmt.Errorf("apply: %w", store.ErrDiskFull))
	if got := n.Text.String(); got != "Saving failed: no space is left on the disk. Free some space; reading still works" {
		t.Errorf("told: %q", got)
	}
}
