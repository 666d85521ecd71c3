package govc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caiatech/caiatop/config"
)

const (
	// renewAt is the part of a token's life after which it is renewed, in
	// percent.
	renewAt = 80
	// loginPause lies between a login that was refused and the next: services
	// lock an address out after five of them in 15 min.
	loginPause = 5 * time.Minute
	// lockedOut is how long a service that says so is left alone, if it does
	// not say for how long.
	lockedOut = 15 * time.Minute
	// refusedFor is how long a token that was refused as soon as it was given is
	// not replaced by another one.
	refusedFor = 30 * time.Second
	// renewPause lies between two tries to renew a token that still holds.
	renewPause = 10 * time.Second
)

// proof is what one request shows. The zero proof shows nothing.
type proof struct {
	generation   int64
	header       string // its name
	value        string
	mustFirst    bool // it is over, or there is none yet: nothing is worth sending before it is renewed
	renewWorthIt bool // it ends soon
}

// credentials are what a client has to show, and the token that it got for it.
// Exactly one of them is sent: the token, else the API key, else the token of a
// login. Times are of the local clock; those of an issued token count from when
// it came, so that no difference between the clocks matters.
type credentials struct {
	now    func() time.Time
	user   string
	pass   config.Secret
	unused []string

	mu         sync.Mutex
	method     string
	value      config.Secret
	before     config.Secret // the value before it, which may still be good
	jwt        bool
	generation int64     // counts the values
	given      claimed   // of the value
	due        time.Time // when it is to be renewed; zero: never
	over       time.Time // when it ends; zero: never, or not known
	expires    time.Time // the same as the service says it
	renewal    *renewal  // under way, nil: none
	fixed      string    // why the service renews no token of this row, "" if it may
	problem    string    // of the last renewal
	pause      time.Time // no login before; after one that was refused
	pauseWhy   error
	refused    int64     // the generation that was refused as soon as it was there
	refusedAt  time.Time // when
	who        *confirmed
}

// confirmed is what the service says of who we are.
type confirmed struct {
	subject string
	rights  map[string]string
}

// renewal is one exchange of a value for the next.
type renewal struct {
	done  chan struct{}
	err   error // valid after done
	other bool  // it was given up by its caller: somebody else may try
}

// claimed is what a JWT says of itself; nothing of it is verified here.
type claimed struct{ issued, expires time.Time }

// readJWT reads a token. ok is false for what does not look like one.
func readJWT(text string) (c claimed, ok bool) {
	in := jwt.MapClaims{}
	token, _, err := jwt.NewParser().ParseUnverified(text, in)
	if errors.Is(err, jwt.ErrTokenMalformed) || token == nil || token.Header["alg"] == nil {
		return claimed{}, false
	}
	// A time that is none is as good as no time.
	if at, err := in.GetIssuedAt(); err == nil && at != nil {
		c.issued = at.Time
	}
	if at, err := in.GetExpirationTime(); err == nil && at != nil {
		c.expires = at.Time
	}
	return c, true
}

func newCredentials(o Options, now func() time.Time) *credentials {
	a := &credentials{now: now, method: MethodNone, generation: 1, user: o.Login.User, pass: config.NewSecret(string(o.Login.Password))}
	claims, isJWT := readJWT(string(o.Token))
	switch {
	case o.Token != "" && isJWT:
		a.method, a.jwt, a.given, a.value = MethodToken, true, claims, config.NewSecret(string(o.Token))
		a.schedule(0)
	case o.Token != "":
		a.method, a.value = MethodAPIKey, config.NewSecret(string(o.Token))
	case o.APIKey != "":
		a.method, a.value = MethodAPIKey, config.NewSecret(string(o.APIKey))
	case o.Login.isSet():
		a.method = MethodLogin
	}
	if o.Token != "" && o.APIKey != "" {
		a.unused = append(a.unused, "API key")
	}
	if a.method == MethodAPIKey && o.Login.isSet() {
		a.unused = append(a.unused, "user and password")
	}
	return a
}

// isSet reports whether there is anything to show.
func (a *credentials) isSet() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.method != MethodNone
}

// schedule says when a token that was given, not issued to us now, is renewed.
// skew is how far the service's clock is before ours.
func (a *credentials) schedule(skew time.Duration) {
	a.due, a.over, a.expires = time.Time{}, time.Time{}, a.given.expires
	left := a.given.expires.Sub(a.now().Add(skew))
	if a.given.expires.IsZero() || left <= 0 {
		return // whether it is really over is for the service to say
	}
	life := left
	if from := a.given.issued; !from.IsZero() && from.Before(a.given.expires) {
		life = a.given.expires.Sub(from)
	}
	a.over = a.now().Add(left)
	a.due = a.over.Add(-life * (100 - renewAt) / 100)
}

// setClock takes the service's clock from the header of an answer.
func (a *credentials) setClock(date string) {
	at, err := http.ParseTime(date)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil || a.generation > 1 || !a.jwt {
		return
	}
	due := a.due
	a.schedule(at.Sub(a.now()))
	if !due.IsZero() && a.renewal == nil && a.problem != "" {
		a.due = due // a pause after a failure goes on
	}
}

// adopt takes an issued token. at is the service's clock, zero if not known.
func (a *credentials) adopt(method, token string, expires, at time.Time) {
	claims, _ := readJWT(token)
	if claims.expires.IsZero() {
		claims.expires = expires
	}
	if claims.issued.IsZero() {
		claims.issued = at
	}
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if method == MethodLogin {
		a.fixed = "" // a new row
	}
	a.method, a.jwt, a.given, a.problem, a.pauseWhy = method, true, claims, "", nil
	a.before, a.value = a.value, config.NewSecret(token)
	a.generation++
	a.due, a.over, a.expires = time.Time{}, time.Time{}, claims.expires
	if life := claims.expires.Sub(claims.issued); !claims.expires.IsZero() && !claims.issued.IsZero() && life >= time.Second {
		a.due, a.over = now.Add(life*renewAt/100), now.Add(life)
	}
}

// current returns what is to be shown now.
func (a *credentials) current() proof {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := proof{generation: a.generation}
	if a.method == MethodNone {
		return p
	}
	value := a.value.Reveal()
	switch {
	case value == "":
		p.mustFirst = true
		return p
	case a.jwt:
		p.header, p.value = "Authorization", "Bearer "+value
	default:
		p.header, p.value = "X-Api-Key", value
		return p
	}
	now := a.now()
	p.renewWorthIt = !a.due.IsZero() && !now.Before(a.due) && (a.fixed == "" || a.user != "")
	p.mustFirst = a.user != "" && !a.over.IsZero() && !now.Before(a.over)
	return p
}

// redact takes what is secret out of a text of others: some services, and some
// proxies, repeat what they refuse.
func (a *credentials) redact(text string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, secret := range []config.Secret{a.value, a.before, a.pass} {
		if secret.IsSet() {
			text = strings.ReplaceAll(text, secret.Reveal(), redacted)
		}
	}
	return text
}

// confirm takes what /auth/whoami said, nil if it did not say.
func (a *credentials) confirm(who *confirmed, expires time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.who = who
	if who != nil && !a.jwt {
		a.expires = expires
	}
}

func (a *credentials) describe() Access {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := Access{Method: a.method, Unused: slices.Clone(a.unused), Expires: a.expires, Problem: a.problem}
	out.Renews = a.user != "" && a.method != MethodAPIKey || a.jwt && !a.due.IsZero() && a.fixed == ""
	if a.who != nil {
		out.Confirmed, out.Subject, out.Rights = true, a.who.subject, map[string]string{}
		for repo, right := range a.who.rights {
			out.Rights[repo] = right
		}
	}
	return out
}

// begin joins the renewal of a generation that is under way, or begins one. It
// is nil if there is a newer value already.
func (a *credentials) begin(generation int64) (r *renewal, lead bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.generation != generation:
		return nil, false
	case a.renewal != nil:
		return a.renewal, false
	}
	a.renewal = &renewal{done: make(chan struct{})}
	return a.renewal, true
}

func (a *credentials) end(ctx context.Context, r *renewal, err error) {
	a.mu.Lock()
	a.renewal = nil
	r.err, r.other = err, err != nil && ctx.Err() != nil
	if err != nil {
		a.problem = err.Error()
		if !a.due.IsZero() {
			a.due = later(a.due, a.now().Add(renewPause))
		}
	}
	a.mu.Unlock()
	close(r.done)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
