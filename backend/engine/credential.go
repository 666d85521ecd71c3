package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caiatech/caiatop/backend/govc"
	"github.com/caiatech/caiatop/backend/store"
)

// credentialsHint says what to do about credentials that the service refuses.
const credentialsHint = "Correct GOVC_AUTH_TOKEN, GOVC_API_KEY or user and password, and start again; or press r (caiatop recover) once the service accepts them"

// warnBefore are the times before credentials end at which that is told.
var warnBefore = []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, 10 * time.Minute, 0}

// credentialWatch is what was told of the credentials. Only the goroutine of the
// probes uses it.
type credentialWatch struct {
	expires  time.Time     // for which
	told     time.Duration // the last of warnBefore, negative: none
	insecure bool
}

// watchCredentials tells in time that credentials end which nobody renews, and
// that the service's certificate is not looked at.
func (e *Engine) watchCredentials() {
	client, ok := e.o.Primary.(interface{ Access() govc.Access })
	if !ok {
		return
	}
	a, w := client.Access(), &e.credentials
	if a.Insecure && !w.insecure {
		w.insecure = true
		e.event(Warning, "access", "The certificate of the service is not looked at (govc.insecure): whoever is on the way can read and change everything",
			"Name the certificate in govc.ca instead, and start again")
	}
	if a.Expires.IsZero() || (a.Renews && a.Problem == "") {
		return
	}
	if !w.expires.Equal(a.Expires) {
		w.expires, w.told = a.Expires, -1
	}
	left := a.Expires.Sub(e.o.Now())
	i := slices.IndexFunc(warnBefore, func(limit time.Duration) bool { return left > limit })
	if i < 0 {
		i = len(warnBefore)
	}
	if i == 0 || w.told == warnBefore[i-1] {
		return
	}
	w.told = warnBefore[i-1]
	next := "Make a new one in time, set it and start again; or set GOVC_USERNAME and GOVC_PASSWORD, with which it is replaced by itself"
	if left <= 0 {
		e.event(Error, "access", "The credentials for the service ("+a.Method+") have ended at "+a.Expires.UTC().Format(time.RFC3339)+because(a.Problem), next)
		return
	}
	e.event(Warning, "access", fmt.Sprintf("The credentials for the service (%s) end at %s, in %s, and are not renewed%s", a.Method, a.Expires.UTC().Format(time.RFC3339), left.Round(time.Minute), because(a.Problem)), next)
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}

// refused says that the service does not accept what we show, or knows us and
// does not let us.
func refused(err error) *verdict {
	if errors.Is(err, store.ErrForbidden) {
		return locked("the service does not let us: "+err.Error(), "If it is a right that is missing, have it granted (caiatop server grant add); then press r (caiatop recover)")
	}
	return locked("the service refuses our credentials: "+err.Error(), credentialsHint)
}
