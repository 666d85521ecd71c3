package config

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// setting is one row of the table of all settings.
type setting struct {
	key, flag, env string // flag and env are "" if there is none
	help           string
	// set parses a value and stores it.
	set func(c *Config, value string, env Env) error
	// show returns the stored value.
	show func(c Config) string
}

// settings is the table. Secrets have no flag: command lines are public. What
// switches a protection off has neither flag nor variable: nobody else sets it.
var settings = []setting{
	{
		"govc.url", "govc-url", "GOVC_SERVICE_URL", "address of the govc service; an embedded one is started if it is empty",
		func(c *Config, v string, _ Env) (err error) { c.Govc.URL, err = parseURL(v); return },
		func(c Config) string { return c.Govc.URL },
	},
	{
		"govc.token", "", "GOVC_AUTH_TOKEN", "token (JWT) or API key for the govc service",
		func(c *Config, v string, _ Env) (err error) { c.Govc.Token, err = parseSecret(v); return },
		func(c Config) string { return showSecret(c.Govc.Token) },
	},
	{
		"govc.api_key", "", "GOVC_API_KEY", "API key for the govc service, used if there is no token",
		func(c *Config, v string, _ Env) (err error) { c.Govc.APIKey, err = parseSecret(v); return },
		func(c Config) string { return showSecret(c.Govc.APIKey) },
	},
	{
		userKey, "", "GOVC_USERNAME", "user to log in as at the govc service, if there is no token and no API key",
		func(c *Config, v string, _ Env) (err error) { c.Govc.User, err = parseUser(v); return },
		func(c Config) string { return c.Govc.User },
	},
	{
		passwordKey, "", "GOVC_PASSWORD", "password of that user",
		func(c *Config, v string, _ Env) (err error) { c.Govc.Password, err = parsePassword(v); return },
		func(c Config) string { return showSecret(c.Govc.Password) },
	},
	{
		caKey, "", "GOVC_CA_FILE", "file with the certificates that are trusted instead of the system's, PEM",
		func(c *Config, v string, env Env) (err error) { c.Govc.CA, err = parseFileName(v, env); return },
		func(c Config) string { return c.Govc.CA },
	},
	{
		certKey, "", "GOVC_CERT_FILE", "file with the certificate of this client, PEM",
		func(c *Config, v string, env Env) (err error) { c.Govc.Cert, err = parseFileName(v, env); return },
		func(c Config) string { return c.Govc.Cert },
	},
	{
		keyKey, "", "GOVC_KEY_FILE", "file with the private key of that certificate, PEM",
		func(c *Config, v string, env Env) (err error) { c.Govc.Key, err = parseFileName(v, env); return },
		func(c Config) string { return c.Govc.Key },
	},
	{
		serverNameKey, "", "GOVC_SERVER_NAME", "name in the certificate of the service, if it is another than the host of govc.url",
		func(c *Config, v string, _ Env) (err error) { c.Govc.ServerName, err = parseServerName(v); return },
		func(c Config) string { return c.Govc.ServerName },
	},
	{
		insecureKey, "", "", "take any certificate of the service, true or false; needs govc.allow_insecure, too",
		func(c *Config, v string, _ Env) (err error) { c.Govc.Insecure, err = parseYes(v); return },
		func(c Config) string { return strconv.FormatBool(c.Govc.Insecure) },
	},
	{
		allowInsecureKey, "", "", "the second switch of govc.insecure, true or false",
		func(c *Config, v string, _ Env) (err error) { c.Govc.AllowInsecure, err = parseYes(v); return },
		func(c Config) string { return strconv.FormatBool(c.Govc.AllowInsecure) },
	},
	{
		"govc.repo", "repo", "GOVC_REPO_NAME", "name of the repository at the service",
		func(c *Config, v string, _ Env) (err error) { c.Govc.Repo, err = parseRepo(v); return },
		func(c Config) string { return c.Govc.Repo },
	},
	{
		"govc.timeout", "timeout", "GOVC_TIMEOUT", "limit for one request to the service, 100ms to 10m",
		func(c *Config, v string, _ Env) (err error) {
			c.Govc.Timeout, err = parseTimeout(v)
			c.Govc.TimeoutSet = true
			return
		},
		func(c Config) string { return c.Govc.Timeout.String() },
	},
	{
		"phase", "phase", phaseVariable, "which stores are used: dual, primary, govc-only or git-only; it wins over what was set since only when it changes",
		func(c *Config, v string, _ Env) (err error) { c.Phase, err = parsePhase(v); c.PhaseSet = true; return },
		func(c Config) string { return string(c.Phase) },
	},
	{
		"engine.kept_bytes", "", "CAIATOP_KEPT_BYTES", "most that the phase govc-only keeps in the state file as copies of documents, 1MiB to 1TiB",
		func(c *Config, v string, _ Env) (err error) { c.Engine.KeptBytes, err = parseKeptBytes(v); return },
		func(c Config) string { return FormatBytes(c.Engine.KeptBytes) },
	},
	{
		"layout", "layout", "", "where new documents are placed: fanout or library",
		func(c *Config, v string, _ Env) (err error) { c.Layout, err = parseLayout(v); return },
		func(c Config) string { return string(c.Layout) },
	},
	{
		"state.dir", "state-dir", "CAIATOP_STATE_DIR", "folder for durable local state",
		func(c *Config, v string, env Env) (err error) { c.State.Dir, err = parseDir(v, env); return },
		func(c Config) string { return c.State.Dir },
	},
	{
		"embedded.port", "embedded-port", "", "port of the embedded service on the loopback address; 0 is any free one",
		func(c *Config, v string, _ Env) (err error) { c.Embedded.Port, err = parsePort(v); return },
		func(c Config) string { return strconv.Itoa(c.Embedded.Port) },
	},
	{
		"embedded.memory", "", "CAIATOP_EMBEDDED_MEMORY", "the embedded service keeps what it holds in memory alone, and a start copies everything to it: true or false",
		func(c *Config, v string, _ Env) (err error) { c.Embedded.Memory, err = parseYes(v); return },
		func(c Config) string { return strconv.FormatBool(c.Embedded.Memory) },
	},
	{
		"gitrepo.cache", "gitrepo-cache", "CAIATOP_GITREPO_CACHE", "memory for objects of the git repository, 1MiB to 64GiB",
		func(c *Config, v string, _ Env) (err error) { c.Gitrepo.Cache, err = parseCache(v); return },
		func(c Config) string { return FormatBytes(c.Gitrepo.Cache) },
	},
	{
		addrKey, "http-addr", "CAIATOP_HTTP_ADDR", "where the HTTP server answers, host:port; empty is nowhere; port 0 is any free one",
		func(c *Config, v string, _ Env) (err error) {
			c.HTTP.Addr, err = parseAddr(v)
			c.HTTP.AddrSet = true
			return
		},
		func(c Config) string { return c.HTTP.Addr },
	},
	{
		tokenKey, "", "CAIATOP_HTTP_TOKEN", "token that a caller of the HTTP server shows",
		func(c *Config, v string, _ Env) (err error) { c.HTTP.Token, err = parseSecret(v); return },
		func(c Config) string { return showSecret(c.HTTP.Token) },
	},
	{
		readTokenKey, "", "CAIATOP_HTTP_READ_TOKEN", "token of a caller that may only read",
		func(c *Config, v string, _ Env) (err error) { c.HTTP.ReadToken, err = parseSecret(v); return },
		func(c Config) string { return showSecret(c.HTTP.ReadToken) },
	},
	{
		hostsKey, "", "CAIATOP_HTTP_HOSTS", "further names by which callers may reach the HTTP server",
		func(c *Config, v string, _ Env) (err error) { c.HTTP.Hosts, err = parseHosts(v); return },
		func(c Config) string { return strings.Join(c.HTTP.Hosts, hostSeparator) },
	},
	{
		"backup.remote", "", "CAIATOP_BACKUP_REMOTE", "where git is pushed to: a folder, or a URL (file, git, ssh, http, https); empty is nowhere",
		func(c *Config, v string, _ Env) (err error) { c.Backup.Remote, err = parseRemote(v); return },
		func(c Config) string { return showRemote(c.Backup.Remote) },
	},
	{
		"backup.interval", "", "CAIATOP_BACKUP_INTERVAL", "least time between two pushes, 1s to 24h; 0 pushes only by command",
		func(c *Config, v string, _ Env) (err error) { c.Backup.Interval, err = parseInterval(v); return },
		func(c Config) string { return c.Backup.Interval.String() },
	},
	{
		"backup.token", "", "CAIATOP_BACKUP_TOKEN", "token for a backup over http or https, sent as the password of the user in backup.remote, else of git",
		func(c *Config, v string, _ Env) (err error) { c.Backup.Token, err = parseSecret(v); return },
		func(c Config) string { return showSecret(c.Backup.Token) },
	},
	{
		"backup.ssh_key", "", "CAIATOP_BACKUP_SSH_KEY", "file with the private key for a backup over ssh; empty asks the ssh agent",
		func(c *Config, v string, env Env) (err error) { c.Backup.SSHKey, err = parseFileName(v, env); return },
		func(c Config) string { return c.Backup.SSHKey },
	},
	{
		"backup.known_hosts", "", "CAIATOP_BACKUP_KNOWN_HOSTS", "file with the keys of ssh servers; empty takes those of the user and the system",
		func(c *Config, v string, env Env) (err error) {
			c.Backup.KnownHosts, err = parseFileName(v, env)
			return
		},
		func(c Config) string { return c.Backup.KnownHosts },
	},
	{
		"log.level", "log-level", "CAIATOP_LOG_LEVEL", "the least that is logged: debug, info, warn or error",
		func(c *Config, v string, _ Env) (err error) { c.Log.Level, err = parseLevel(v); return },
		func(c Config) string { return strings.ToLower(c.Log.Level.String()) },
	},
}

// Flag is a setting that can be given on the command line.
type Flag struct{ Name, Key, Help string }

// Flags returns the flags that Input.Flags may name.
func Flags() []Flag {
	var flags []Flag
	for _, s := range settings {
		if s.flag != "" {
			flags = append(flags, Flag{s.flag, s.key, s.help})
		}
	}
	return flags
}

// Keys returns the keys that the file may hold, in the order they are shown.
func Keys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}

// parseURL never repeats the address in what it says: it may hold credentials.
func parseURL(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	const fix = "write http://host:port or https://host"
	u, err := url.Parse(v)
	if err != nil {
		return "", &problem{"the value is not a URL", fix}
	}
	scheme := strings.ToLower(u.Scheme)
	switch {
	case scheme != "http" && scheme != "https":
		return "", &problem{"the URL does not begin with http:// or https://", fix}
	case u.User != nil:
		return "", &problem{"the URL holds credentials", "put credentials into GOVC_AUTH_TOKEN"}
	case u.Hostname() == "":
		return "", &problem{"the URL names no host", fix}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", &problem{"the URL holds a query or a fragment", "end it after the path"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", &problem{"the port of the URL is not within 1 to 65535", fix}
		}
	}
	u.Scheme = scheme
	u.Host = strings.TrimSuffix(u.Host, ":")
	return strings.TrimRight(u.String(), "/"), nil
}

func parseSecret(v string) (Secret, error) {
	const fix = "write the token alone, without line end or quotes"
	if len(v) > MaxSecret {
		return Secret{}, &problem{fmt.Sprintf("the value has %d bytes, the limit is %d", len(v), MaxSecret), fix}
	}
	for _, b := range []byte(v) {
		if b <= ' ' || b > '~' {
			return Secret{}, &problem{"the value holds a character that no header can carry", fix}
		}
	}
	return NewSecret(v), nil
}

func showSecret(s Secret) string {
	if s.IsSet() {
		return redacted
	}
	return ""
}

var repoRule = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]*\z`)

func parseRepo(v string) (string, error) {
	const fix = "use 1 to 64 of A-Z a-z 0-9 _ -, beginning with a letter or digit"
	switch {
	case len(v) > MaxRepo:
		return "", &problem{fmt.Sprintf("the name has %d bytes", len(v)), fix}
	case !repoRule.MatchString(v):
		return "", &problem{fmt.Sprintf("%s is no name of a repository", quote(v)), fix}
	case v == "metrics":
		return "", &problem{`the service keeps the name "metrics" for itself`, "use another name"}
	}
	return v, nil
}

var plainSeconds = regexp.MustCompile(`\A[0-9]{1,9}(\.[0-9]{1,9})?\z`)

func parseTimeout(v string) (time.Duration, error) {
	const fix = "use 100ms to 10m, such as 30s, or plain seconds"
	d, err := time.ParseDuration(v)
	if plainSeconds.MatchString(v) {
		var seconds float64
		seconds, err = strconv.ParseFloat(v, 64)
		d = time.Duration(math.Round(seconds * float64(time.Second)))
	}
	if err != nil {
		return 0, &problem{quote(v) + " is not a duration", fix}
	}
	if d < MinTimeout || d > MaxTimeout {
		return 0, &problem{quote(v) + " is out of range", fix}
	}
	return d, nil
}

func parsePhase(v string) (Phase, error) {
	switch p := Phase(v); p {
	case PhaseDual, PhasePrimary, PhaseGovcOnly, PhaseGitOnly:
		return p, nil
	}
	return "", &problem{quote(v) + " is no phase", "use dual, primary, govc-only or git-only"}
}

// phaseVariable is the switch that the CAIA Library knows as well. It has words
// of its own.
const phaseVariable = "CAIA_USE_GOVC"

func phaseOfVariable(v string) (string, error) {
	switch strings.ToLower(v) {
	case "1", "true", "yes", "on":
		return string(PhasePrimary), nil
	case "0", "false", "no", "off":
		return string(PhaseGitOnly), nil
	}
	return "", &problem{quote(v) + " is neither true nor false", "use true for phase primary, false for git-only, or --phase"}
}

func parseLayout(v string) (Layout, error) {
	switch l := Layout(v); l {
	case LayoutFanOut, LayoutLibrary:
		return l, nil
	}
	return "", &problem{quote(v) + " is no layout", "use fanout or library"}
}

func parseDir(v string, env Env) (string, error) {
	const fix = "name a folder that may be written"
	switch {
	case v == "":
		return "", &problem{"the folder is empty", fix}
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", &problem{quote(v) + " holds a control character", fix}
	case v == "~" || strings.HasPrefix(v, "~/"):
		home := env.home()
		if home == "" {
			return "", &problem{"~ means nothing because " + env.homeless(), "write the whole path"}
		}
		v = filepath.Join(home, v[1:])
	}
	absolute, err := filepath.Abs(v)
	if err != nil {
		return "", &problem{fmt.Sprintf("%s cannot be made absolute: %v", quote(v), err), "write the whole path"}
	}
	return absolute, nil
}

func parsePort(v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, &problem{quote(v) + " is no port", "use 0 to 65535; 0 is any free one"}
	}
	return int(n), nil
}

// quote shows a value in quotes, escaped, and not more of it than helps.
func quote(v string) string {
	const longest = 60
	if len(v) > longest {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(v[:longest], ""))
	}
	return fmt.Sprintf("%q", v)
}
