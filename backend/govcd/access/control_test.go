package access

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caiatech/caiatop/config"
)

func bearer(s string) []string { return []string{"Authorization", "Bearer " + s} }

func basic(user, password string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

const adminKey = "admin-key-0f3a9c5d7e"

// TestWhoIsKnownByWhat is the table of credentials and where they are sent.
func TestWhoIsKnownByWhat(t *testing.T) {
	at := newClock()
	c := control(t, Options{Dir: t.TempDir(), AdminKey: config.NewSecret(adminKey), Keyring: keyring(t, goodSecret), Now: at.now, Limits: Limits{Failures: 1000}})
	_, key := makeKey(t, c.Register(), "ci", "docs:read", time.Time{})
	must(t, c.Reload())
	minted, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour})
	must(t, err)
	token := minted.Value.Reveal()
	for name, x := range map[string]struct {
		headers []string
		git     bool
		subject string
		reason  string
	}{
		"nothing":                {nil, false, "", NoCredential},
		"empty key":              {[]string{"X-API-Key", ""}, false, "", NoCredential},
		"token":                  {bearer(token), false, "ann", ""},
		"token, other case":      {[]string{"Authorization", "bearer " + token}, false, "ann", ""},
		"token as key":           {[]string{"X-API-Key", token}, false, "ann", ""},
		"API key":                {[]string{"X-API-Key", key}, false, "ci", ""},
		"API key as bearer":      {bearer(key), false, "ci", ""},
		"admin key":              {[]string{"X-API-Key", adminKey}, false, "admin", ""},
		"admin key as bearer":    {bearer(adminKey), false, "admin", ""},
		"bearer beats key":       {append(bearer(spoil(token, len(token)-1)), "X-API-Key", key), false, "", "any"},
		"good bearer, bad key":   {append(bearer(token), "X-API-Key", "x"), false, "ann", ""},
		"two bearers":            {append(bearer(token), bearer(token)...), false, "", Malformed},
		"two keys":               {[]string{"X-API-Key", key, "X-API-Key", key}, false, "", Malformed},
		"no scheme":              {[]string{"Authorization", token}, false, "", Malformed},
		"another scheme":         {[]string{"Authorization", "Token " + token}, false, "", Malformed},
		"bearer of nothing":      {[]string{"Authorization", "Bearer "}, false, "", Malformed},
		"longest":                {bearer(repeated("x", MaxCredential-7)), false, "", UnknownKey},
		"too long":               {bearer(repeated("x", MaxCredential-6)), false, "", Malformed},
		"basic":                  {basic("x", key), false, "", Malformed},
		"git: basic":             {basic("x", key), true, "ci", ""},
		"git: basic, token":      {basic("", token), true, "ann", ""},
		"git: as name":           {basic(key, ""), true, "ci", ""},
		"git: bearer":            {bearer(key), true, "ci", ""},
		"git: wrong password":    {basic(key, "x"), true, "", UnknownKey},
		"git: empty":             {basic("", ""), true, "", Malformed},
		"git: no colon":          {[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(key))}, true, "", Malformed},
		"git: no base64":         {[]string{"Authorization", "Basic %%%"}, true, "", Malformed},
		"wrong admin key":        {[]string{"X-API-Key", adminKey + "x"}, false, "", UnknownKey},
		"beginning of admin key": {[]string{"X-API-Key", adminKey[:10]}, false, "", UnknownKey},
	} {
		authenticate := c.Authenticate
		if x.git {
			authenticate = c.AuthenticateGit
		}
		who, err := authenticate(request(x.headers...))
		switch {
		case x.reason == "" && (err != nil || who.Subject != x.subject):
			t.Errorf("%s: %+v, %v", name, who, err)
		case x.reason == "any" && !errors.Is(err, ErrUnauthenticated):
			t.Errorf("%s: %v", name, err)
		case x.reason != "" && x.reason != "any":
			wantDenied(t, name, err, ErrUnauthenticated, x.reason)
		}
		if x.reason != "" && who.Kind != Nobody {
			t.Errorf("%s: %+v beside an error", name, who)
		}
	}
}

// TestCredentialsInAURLCountForNothing: they end in logs.
func TestCredentialsInAURLCountForNothing(t *testing.T) {
	c := control(t, Options{AdminKey: config.NewSecret(adminKey)})
	r := request("Cookie", "api_key="+adminKey)
	r.URL.RawQuery = "api_key=" + adminKey
	_, err := c.Authenticate(r)
	wantDenied(t, "query", err, ErrUnauthenticated, NoCredential)
}

// TestKeysEnd by revocation and by time, for new requests and for those who are
// in already.
func TestKeysEnd(t *testing.T) {
	at := newClock()
	c := control(t, Options{Dir: t.TempDir(), Now: at.now})
	revoked, revokedKey := makeKey(t, c.Register(), "a", "docs:read", time.Time{})
	_, expiringKey := makeKey(t, c.Register(), "b", "docs:read", noon.Add(time.Minute))
	must(t, c.Reload())
	first, err := c.Authenticate(request("X-API-Key", revokedKey))
	must(t, err)
	second, err := c.Authenticate(request("X-API-Key", expiringKey))
	must(t, err)
	must(t, errors.Join(c.Allow(first, "docs", Read), c.Allow(second, "docs", Read)))

	if _, err := c.Register().RevokeKey(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	at.pass(time.Minute - time.Nanosecond)
	must(t, c.Allow(second, "docs", Read))
	wantDenied(t, "revoked, in already", c.Allow(first, "docs", Read), ErrUnauthenticated, Revoked)
	_, err = c.Authenticate(request("X-API-Key", revokedKey))
	wantDenied(t, "revoked", err, ErrUnauthenticated, Revoked)
	at.pass(time.Nanosecond)
	wantDenied(t, "expired, in already", c.Allow(second, "docs", Read), ErrUnauthenticated, Expired)
	_, err = c.Authenticate(request("X-API-Key", expiringKey))
	wantDenied(t, "expired", err, ErrUnauthenticated, Expired)
}

func TestATokenEndsWhileItIsUsed(t *testing.T) {
	at := newClock()
	c := control(t, Options{Keyring: keyring(t, goodSecret), Now: at.now})
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Minute, Scopes: scopes(t, "docs:write")})
	must(t, err)
	who, err := c.Authenticate(request(bearer(token.Value.Reveal())...))
	must(t, err)
	at.pass(time.Minute + Leeway - time.Nanosecond)
	must(t, c.Allow(who, "docs", Write))
	at.pass(time.Nanosecond)
	wantDenied(t, "expired", c.Allow(who, "docs", Write), ErrUnauthenticated, Expired)
}

func TestNobodyMayDoNothing(t *testing.T) {
	c := control(t, Options{AdminKey: config.NewSecret(adminKey), Now: newClock().now})
	for _, who := range []Identity{{}, {Kind: Anybody}, {Kind: 99}, {Kind: APIKey, ID: "x"}, {Kind: JWT, Expires: noon.Add(-Leeway)}} {
		if err := c.Allow(who, "docs", Read); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%+v: %v", who, err)
		}
		if _, err := c.Whoami(who); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%+v: %v", who, err)
		}
	}
	for _, x := range []struct {
		repo string
		need Need
	}{{"docs", 0}, {"docs", Admin + 1}, {"", Read}} {
		all := Identity{Kind: JWT, Expires: noon, scopes: []Scope{{Service, Admin}}}
		for _, who := range []Identity{{Kind: AdminKey}, all} {
			if err := c.Allow(who, x.repo, x.need); !errors.Is(err, ErrForbidden) {
				t.Errorf("%v, %+v: %v", who.Kind, x, err)
			}
		}
	}
}

// TestRightsAreTheUnion of what a credential carries and what its subject is
// granted, and 403 is told from 401.
func TestRightsAreTheUnion(t *testing.T) {
	at := newClock()
	c := control(t, Options{Dir: t.TempDir(), Keyring: keyring(t, goodSecret), Now: at.now})
	_, key := makeKey(t, c.Register(), "ci", "docs:read", time.Time{})
	must(t, c.Register().Grant(t.Context(), "ci", scopes(t, "team-*:write")...))
	must(t, c.Register().Grant(t.Context(), "ann", scopes(t, "*:read")...))
	must(t, c.Reload())
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(t, "docs:admin")})
	must(t, err)
	ci, err := c.Authenticate(request("X-API-Key", key))
	must(t, err)
	ann, err := c.Authenticate(request(bearer(token.Value.Reveal())...))
	must(t, err)
	for _, x := range []struct {
		who  Identity
		repo string
		most Need
	}{
		{ci, "docs", Read},
		{ci, "docs2", 0},
		{ci, "team-a", Write},
		{ci, "team-", Write},
		{ci, "team", 0},
		{ci, Service, 0},
		{ann, "docs", Admin},
		{ann, "team-a", Read},
		{ann, Service, Read},
	} {
		for need := Read; need <= Admin; need++ {
			err := c.Allow(x.who, x.repo, need)
			if need <= x.most {
				must(t, err)
				continue
			}
			wantDenied(t, x.who.Subject+" at "+x.repo, err, ErrForbidden, Permission)
		}
	}
	if _, err := c.Register().Withdraw(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	at.pass(checkEvery)
	wantDenied(t, "withdrawn", c.Allow(ci, "team-a", Read), ErrForbidden, Permission)
	must(t, c.Allow(ci, "docs", Read))
}

var repoGenerator = rapid.StringMatching(`[a-c]{1,3}`)

func drawScopes(rt *rapid.T, label string) []Scope {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Scope {
		pattern := rapid.SampledFrom([]string{"*", "a*", "ab*", "abc*", "b*"}).Draw(rt, "pattern")
		if rapid.Bool().Draw(rt, "one") {
			pattern = repoGenerator.Draw(rt, "repo")
		}
		return Scope{pattern, Need(rapid.IntRange(1, 3).Draw(rt, "need"))}
	}), 0, 5).Draw(rt, label)
}

// TestRightsNeverShrinkByMore: with more scopes nothing is refused that was
// allowed, a lesser need is allowed where a greater one is, and only what some
// scope covers is allowed at all.
func TestRightsNeverShrinkByMore(t *testing.T) {
	c := control(t, Options{Keyring: keyring(t, goodSecret), Now: newClock().now})
	rapid.Check(t, func(rt *rapid.T) {
		some := drawScopes(rt, "some")
		more := slices.Concat(some, drawScopes(rt, "more"))
		repo := repoGenerator.Draw(rt, "repo")
		need := Need(rapid.IntRange(1, 3).Draw(rt, "need"))
		as := func(scopes []Scope) Identity {
			return Identity{Kind: JWT, Subject: "x", Expires: noon.Add(time.Hour), scopes: scopes}
		}
		covered := slices.ContainsFunc(some, func(s Scope) bool {
			prefix, open := strings.CutSuffix(s.Repo(), "*")
			return s.Need() >= need && (s.Repo() == repo || (open && strings.HasPrefix(repo, prefix)))
		})
		allowed := c.Allow(as(some), repo, need) == nil
		if allowed != covered {
			rt.Fatalf("%v at %s with %v: %v", need, repo, some, allowed)
		}
		if allowed && (c.Allow(as(more), repo, need) != nil || c.Allow(as(some), repo, Read) != nil) {
			rt.Fatalf("%v at %s with %v is allowed, and less is not", need, repo, more)
		}
	})
}

func TestWhoami(t *testing.T) {
	c := control(t, Options{Dir: t.TempDir(), AdminKey: config.NewSecret(adminKey), Keyring: keyring(t, goodSecret), Now: newClock().now})
	must(t, c.Register().Grant(t.Context(), "ann", scopes(t, "docs:write team-*:read")...))
	must(t, c.Reload())
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: time.Hour, Scopes: scopes(t, "docs:read *:read")})
	must(t, err)
	who, err := c.Authenticate(request(bearer(token.Value.Reveal())...))
	must(t, err)
	w, err := c.Whoami(who)
	must(t, err)
	if w.ID != "ann" || w.Method != "jwt" || w.Credential != token.ID || !w.Expires.Equal(token.Expires) ||
		!slices.Equal(w.Permissions, []string{"*:read", "docs:write", "team-*:read"}) || len(w.Repos) != 3 || w.Repos["docs"] != "write" {
		t.Errorf("%+v", w)
	}
	w, err = c.Whoami(Identity{Subject: "admin", Kind: AdminKey})
	if err != nil || w.Expires != nil || w.Repos["*"] != "admin" || w.Method != "admin_key" {
		t.Errorf("%+v, %v", w, err)
	}
}

// TestRefreshEnds: a stolen token is no key for ever.
func TestRefreshEnds(t *testing.T) {
	at := newClock()
	c := control(t, Options{Keyring: keyring(t, goodSecret), Now: at.now})
	token, err := c.Mint(TokenRequest{Subject: "ann", TTL: 10 * time.Hour, Scopes: scopes(t, "docs:read")})
	must(t, err)
	refreshed := 0
	for {
		who, err := c.Authenticate(request(bearer(token.Value.Reveal())...))
		must(t, err)
		if who.Subject != "ann" || joinScopes(who.scopes) != "docs:read" || !who.first.Equal(noon) {
			t.Fatalf("%+v", who)
		}
		next, err := c.Refresh(who)
		if err != nil {
			wantDenied(t, "at the end", err, ErrForbidden, Expired)
			break
		}
		if next.Expires.After(noon.Add(MaxRefresh)) {
			t.Fatalf("a token until %v", next.Expires)
		}
		token = next
		refreshed++
		at.pass(min(9*time.Hour, max(token.Expires.Sub(at.now()), time.Minute)))
	}
	if refreshed < int(MaxRefresh/(10*time.Hour)) {
		t.Errorf("refreshed %d times", refreshed)
	}
	if _, err := c.Refresh(Identity{}); !errors.Is(err, ErrUnauthenticated) {
		t.Error(err)
	}
	admin := control(t, Options{AdminKey: config.NewSecret(adminKey)})
	_, err = admin.Refresh(Identity{Kind: AdminKey})
	wantDenied(t, "a key", err, ErrForbidden, Permission)
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		header string
		value  string
	}{
		{unauthenticated(Expired, "x"), 401, "UNAUTHORIZED", "Www-Authenticate", `Bearer realm="caiatop"`},
		{&Denied{Kind: ErrForbidden, Text: "x"}, 403, "FORBIDDEN", "Retry-After", ""},
		{&Denied{Kind: ErrLimited, Text: "x", After: 1500 * time.Millisecond}, 429, "RATE_LIMITED", "Retry-After", "2"},
		{&Denied{Kind: ErrLimited, Text: "x", After: time.Nanosecond}, 429, "RATE_LIMITED", "Retry-After", "1"},
	} {
		status, code, text, header, ok := Answer(errors.Join(errors.New("around it"), c.err))
		if !ok || status != c.status || code != c.code || text != "x" || header.Get(c.header) != c.value {
			t.Errorf("%v: %d %s %q %v", c.err, status, code, text, header)
		}
	}
	if _, _, _, _, ok := Answer(http.ErrNoCookie); ok {
		t.Error("an error of others is answered")
	}
}
