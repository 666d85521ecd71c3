package config

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	userKey          = "govc.user"
	passwordKey      = "govc.password"
	caKey            = "govc.ca"
	certKey          = "govc.cert"
	keyKey           = "govc.key"
	serverNameKey    = "govc.server_name"
	insecureKey      = "govc.insecure"
	allowInsecureKey = "govc.allow_insecure"
	// MaxUser bounds the name of a user, in bytes.
	MaxUser = 256
)

// controlRule finds what no name and no password holds, but a line end that was
// pasted with it.
var controlRule = regexp.MustCompile(`[\x00-\x1f\x7f]`)

func parseUser(v string) (string, error) {
	switch {
	case len(v) > MaxUser:
		return "", &problem{fmt.Sprintf("the name has %d bytes, the limit is %d", len(v), MaxUser), "write the name that the service knows"}
	case controlRule.MatchString(v):
		return "", &problem{quote(v) + " holds a control character", "write the name alone, without line end"}
	}
	return v, nil
}

func parsePassword(v string) (Secret, error) {
	switch {
	case len(v) > MaxSecret:
		return Secret{}, &problem{fmt.Sprintf("the value has %d bytes, the limit is %d", len(v), MaxSecret), "write the password alone"}
	case controlRule.MatchString(v):
		return Secret{}, &problem{"the value holds a control character", "write the password alone, without line end"}
	}
	return NewSecret(v), nil
}

func parseServerName(v string) (string, error) {
	if v != "" && !isHost(strings.ToLower(v)) {
		return "", &problem{quote(v) + " is no name of a host", "write a name of the service's certificate, without scheme and port"}
	}
	return strings.ToLower(v), nil
}

// parseYes takes what turns something dangerous on, or off.
func parseYes(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, &problem{quote(v) + " is neither true nor false", "write true or false"}
}

// checkGovc refuses settings that say something only together.
func (c Config) checkGovc() *Error {
	g := c.Govc
	half := func(key string, has bool, other string, hasOther bool) *Error {
		switch {
		case has && !hasOther:
			return &Error{Key: key, Problem: "it is set without " + other, Fix: "set both, or neither"}
		case hasOther && !has:
			return &Error{Key: other, Problem: "it is set without " + key, Fix: "set both, or neither"}
		}
		return nil
	}
	e := half(userKey, g.User != "", passwordKey, g.Password.IsSet())
	if e == nil {
		e = half(certKey, g.Cert != "", keyKey, g.Key != "")
	}
	if e == nil && g.Insecure && !g.AllowInsecure {
		e = &Error{
			Key: insecureKey, Problem: "it would take any certificate, so that anybody on the way could read and change everything",
			Fix: "set govc.allow_insecure, too, if that is meant; or name the certificate of the service in govc.ca",
		}
	}
	if key := g.needsTLS(); e == nil && key != "" && strings.HasPrefix(g.URL, "http://") {
		e = &Error{Key: key, Problem: "govc.url begins with http://, so nothing is encrypted and no certificate is looked at", Fix: "write https:// in govc.url, or remove the setting"}
	}
	if e == nil {
		return nil
	}
	return c.located(e)
}

// needsTLS returns the first key that says something about certificates only.
func (g Govc) needsTLS() string {
	switch {
	case g.CA != "":
		return caKey
	case g.Cert != "":
		return certKey
	case g.ServerName != "":
		return serverNameKey
	case g.Insecure:
		return insecureKey
	}
	return ""
}

// located says where the value of a mistake came from.
func (c Config) located(e *Error) *Error {
	for _, o := range c.origins {
		if o.Key == e.Key {
			e.Origin = o.From
		}
	}
	return e
}
