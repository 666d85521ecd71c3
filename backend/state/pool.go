package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// reader is one connection with its prepared statements. Only who holds it may
// use it.
type reader struct {
	conn       *sql.Conn
	stmts      []*sql.Stmt
	begin, end *sql.Stmt
}

// pool hands out a fixed number of read-only connections. The context bounds
// the wait for one, and interrupts what may return many rows. A statement that
// returns one by its key takes microseconds, less than to watch a context.
type pool struct {
	db      *sql.DB
	free    chan *reader
	size    int
	closing chan struct{}
}

// dataSource returns the name that the driver opens the file by.
func dataSource(path string, pragmas ...string) string {
	query := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

func openPool(ctx context.Context, path string, size int, queries []string) (*pool, error) {
	db, err := sql.Open("sqlite", dataSource(path, "query_only(1)", "cache_size(-4000)", "temp_store(2)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	p := &pool{db: db, free: make(chan *reader, size), closing: make(chan struct{})}
	for range size {
		r, err := openReader(ctx, db, queries)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.free <- r
		p.size++
	}
	return p, nil
}

func openReader(ctx context.Context, db *sql.DB, queries []string) (*reader, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	stmts, err := prepareAll(ctx, conn, append([]string{`BEGIN`, `COMMIT`}, queries...))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &reader{conn: conn, stmts: stmts[2:], begin: stmts[0], end: stmts[1]}, nil
}

func prepareAll(ctx context.Context, conn *sql.Conn, queries []string) ([]*sql.Stmt, error) {
	stmts := make([]*sql.Stmt, len(queries))
	for i, query := range queries {
		stmt, err := conn.PrepareContext(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		stmts[i] = stmt
	}
	return stmts, nil
}

// use runs f with a connection. It waits for one no longer than ctx lives.
func (p *pool) use(ctx context.Context, f func(r *reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.closing:
		return ErrClosed
	default:
	}
	select {
	case r := <-p.free:
		defer func() { p.free <- r }()
		return f(r)
	case <-p.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits for the connections in use, then closes all. It is called once.
func (p *pool) close() error {
	close(p.closing)
	var errs []error
	for range p.size {
		r := <-p.free
		for _, stmt := range append(r.stmts, r.begin, r.end) {
			errs = append(errs, stmt.Close())
		}
		errs = append(errs, r.conn.Close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}

// snapshot runs f, all of whose statements see the same commit.
func (r *reader) snapshot(ctx context.Context, f func() error) (err error) {
	ctx = context.WithoutCancel(ctx)
	if _, err := r.begin.ExecContext(ctx); err != nil {
		return err
	}
	defer func() {
		_, end := r.end.ExecContext(ctx)
		err = errors.Join(err, end)
	}()
	return f()
}

// each runs the statement and calls row for every row of its result.
func (r *reader) each(ctx context.Context, query int, row func(scan func(...any) error) error, args ...any) (err error) {
	rows, err := r.stmts[query].QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		// The driver watches the context up to the first row only.
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
