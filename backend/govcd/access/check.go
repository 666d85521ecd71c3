package access

import (
	"context"
	"net/http"
)

// Route is what a request asks for, as far as access is concerned.
type Route struct {
	Repo string // its id, or Service
	Need Need   // 0: it is enough to be known, as for whoami
	Git  bool   // see AuthenticateGit
}

// Check admits a request, finds out who it comes from, and whether that one may
// do what the route is for. The error is a *Denied; where it is known who it was,
// the identity says so beside a refusal, for the audit.
func (c *Control) Check(r *http.Request, route Route) (Identity, error) {
	if err := c.Admit(r); err != nil {
		return Identity{}, err
	}
	who, err := c.authenticate(r, route.Git)
	if err != nil || route.Need == 0 {
		return who, err
	}
	return who, c.Allow(who, route.Repo, route.Need)
}

type identityKey struct{}

// With returns a context that carries who a request comes from.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// From returns who With put into a context, else nobody.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}
