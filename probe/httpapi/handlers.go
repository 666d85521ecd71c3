package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query, err := listQuery(r.URL)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page, err := s.docs.List(r.Context(), query)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if page.Rows == nil {
		page.Rows = []Row{}
	}
	s.reply(w, r, page)
}

func listQuery(u *url.URL) (ListQuery, error) {
	values, err := queryValues(u)
	if err != nil {
		return ListQuery{}, err
	}
	query := ListQuery{Contains: values.Get("contains"), Type: values.Get("type")}
	if query.Offset, err = number(values, "offset", 1<<62); err != nil {
		return ListQuery{}, err
	}
	if query.Limit, err = number(values, "limit", MaxList); err != nil {
		return ListQuery{}, err
	}
	return query, nil
}

func queryValues(u *url.URL) (url.Values, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: the query of the address: %w", ErrInvalid, err)
	}
	return values, nil
}

// number reads an optional number from 0 to most.
func number(values url.Values, name string, most int) (int, error) {
	s := values.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %s=%q is not a number from 0 to %d", ErrInvalid, name, s, most)
	}
	return n, nil
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	var batch documentBatch
	done, err := s.readBody(w, r, &batch)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	if err := checkCount("documents", len(batch.Documents)); err != nil {
		s.fail(w, r, err)
		return
	}
	ack, err := s.docs.Put(r.Context(), batch.Documents)
	s.acknowledge(w, r, ack, err)
}

func checkCount(what string, n int) error {
	switch {
	case n == 0:
		return fmt.Errorf("%w: no %s were given", ErrInvalid, what)
	case n > MaxBatch:
		return fmt.Errorf("%w: %d %s were given, the limit is %d", ErrTooLarge, n, what, MaxBatch)
	}
	return nil
}

func (s *Server) acknowledge(w http.ResponseWriter, r *http.Request, ack Ack, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if ack.OpIDs == nil {
		ack.OpIDs = []string{}
	}
	s.reply(w, r, ack)
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	doc, err := s.docs.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.reply(w, r, doc)
}

func (s *Server) deleteOne(w http.ResponseWriter, r *http.Request) {
	ack, err := s.docs.Delete(r.Context(), []string{r.PathValue("id")})
	s.acknowledge(w, r, ack, err)
}

func (s *Server) deleteMany(w http.ResponseWriter, r *http.Request) {
	var batch idBatch
	done, err := s.readBody(w, r, &batch)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	if err := checkCount("ids", len(batch.IDs)); err != nil {
		s.fail(w, r, err)
		return
	}
	ack, err := s.docs.Delete(r.Context(), batch.IDs)
	s.acknowledge(w, r, ack, err)
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	values, err := queryValues(r.URL)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	limit, err := number(values, "limit", MaxList)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	hits, err := s.docs.Search(r.Context(), values.Get("q"), limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if hits == nil {
		hits = []Hit{}
	}
	s.reply(w, r, hitList{hits})
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	status, err := s.control.Status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.reply(w, r, status)
}

func (s *Server) action(do func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.act(w, r, do) }
}

func (s *Server) recover(w http.ResponseWriter, r *http.Request) {
	adopt, err := adoptWanted(r.URL)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.act(w, r, func(ctx context.Context) error { return s.control.Recover(ctx, adopt) })
}

// adoptWanted accepts true and false only: a misspelt word must not decide.
func adoptWanted(u *url.URL) (bool, error) {
	values, err := queryValues(u)
	if err != nil {
		return false, err
	}
	switch adopt := values.Get("adopt"); adopt {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, fmt.Errorf("%w: adopt=%q is neither true nor false", ErrInvalid, adopt)
	}
}

// act runs one action of an operator. How long it takes is the caller's
// business, who ends it by closing the connection.
func (s *Server) act(w http.ResponseWriter, r *http.Request, do func(context.Context) error) {
	rc := http.NewResponseController(w)
	if err := errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})); err != nil {
		s.log.Warn("lifting the time limit of an action", "error", err)
	}
	if err := do(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.reply(w, r, struct{}{})
}
