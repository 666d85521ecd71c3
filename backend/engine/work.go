package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/caiatech/caiatop/backend/store"
)

// work is something that the goroutine which owns a store is asked to do.
type work struct {
	do    func(ctx context.Context) error
	reply chan error
}

// desk is where a goroutine takes work: it looks there whenever it is woken.
type desk struct {
	work chan work
	wake chan struct{}
}

// ask lets the owner of a store do something, when it has time for it. If that
// takes longer than mendPatience the error wraps store.ErrUnavailable.
func (d desk) ask(ctx context.Context, do func(ctx context.Context) error) error {
	w := work{do, make(chan error, 1)}
	patience := time.NewTimer(mendPatience)
	defer patience.Stop()
	again := time.NewTicker(mendLook)
	defer again.Stop()
	for {
		signal(d.wake)
		select {
		case d.work <- w:
			// What was begun is waited for, also at an end: it uses what is the
			// caller's, and ends with the owner's own context.
			return <-w.reply
		case <-again.C:
		case <-patience.C:
			return fmt.Errorf("%w: it has other work", store.ErrUnavailable)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// serve does what is asked for now, if anything is, answers, and returns the
// answer.
func (d desk) serve(ctx context.Context) error {
	select {
	case w := <-d.work:
		err := w.do(ctx)
		w.reply <- err
		return err
	default:
		return nil
	}
}

// primaryRound is govcRound, and then what others ask of the goroutine that owns
// the service.
func (e *Engine) primaryRound(ctx context.Context) (int64, error) {
	n, err := e.govcRound(ctx)
	if err == nil {
		err = e.primaryWork.serve(ctx)
	}
	return n, err
}

// doTextWork does what others ask of the goroutine that owns the text index.
// Whoever asked is told of an error; the next round finds out what it means.
func (e *Engine) doTextWork(ctx context.Context) {
	if err := e.textWork.serve(ctx); err != nil {
		signal(e.wakeText)
	}
}
