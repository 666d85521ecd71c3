package term

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestASignalEndsTheContext(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		ctx, stop := Ending(t.Context())
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stop()
		stop()
	}
}

// ctrl+c in an editor is for the editor, and SIGTERM for us all the same.
func TestTheKeysOfALentTerminalEndNothing(t *testing.T) {
	ctx, stop := Ending(t.Context())
	defer stop()
	lent.Add(1)
	defer lent.Add(-1)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	if ctx.Err() != nil {
		t.Error("a key of the editor ended the console")
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

func TestOverAConnectionNothingStops(t *testing.T) {
	s := New(Streams{})
	if err := s.Suspend(t.Context()); !errors.Is(err, ErrNotLocal) {
		t.Errorf("Suspend: %v", err)
	}
	if err := s.Guard(); !errors.Is(err, ErrNotLocal) {
		t.Errorf("Guard: %v", err)
	}
}
