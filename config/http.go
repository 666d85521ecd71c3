package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

const (
	// MinRemoteToken is the shortest token, in bytes, for an address that other
	// machines reach.
	MinRemoteToken = 16

	addrKey      = "http.addr"
	tokenKey     = "http.token"
	readTokenKey = "http.read_token"
	// hostsKey is the one setting that may be a list in the file.
	hostsKey = "http.hosts"
	// hostSeparator stands between host names in the environment.
	hostSeparator = ","
	maxHost       = 253 // bytes, the limit of the domain name system
)

// hostRule takes names, not addresses; a wildcard would take every name.
var hostRule = regexp.MustCompile(`\A[a-z0-9]([a-z0-9._-]*[a-z0-9])?\z`)

// parseAddr takes host:port with an optional host, and "" for no address.
func parseAddr(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	const fix = "write host:port like " + DefaultServeAddr + "; port 0 takes any free one"
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return "", &problem{quote(v) + " is not host:port", fix}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", &problem{fmt.Sprintf("the port of %s is not within 0 to 65535", quote(v)), fix}
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !isHost(strings.ToLower(host)) {
		return "", &problem{fmt.Sprintf("the host of %s is neither a name nor an address", quote(v)), fix}
	}
	return v, nil
}

func isHost(name string) bool { return len(name) <= maxHost && hostRule.MatchString(name) }

// isLoopback reports whether only this machine reaches an address that
// parseAddr took. Other names than localhost may mean any machine.
func isLoopback(addr string) bool {
	if addr == "" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func parseHosts(v string) ([]string, error) {
	const fix = "write names like caiatop.example, without scheme and port"
	var hosts []string
	for name := range strings.SplitSeq(v, hostSeparator) {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" && v == "" {
			return nil, nil
		}
		if _, err := netip.ParseAddr(name); err != nil && !isHost(name) {
			return nil, &problem{quote(name) + " is no name of a host", fix}
		}
		hosts = append(hosts, name)
	}
	if len(hosts) > MaxHosts {
		return nil, &problem{fmt.Sprintf("%d names are given", len(hosts)), fmt.Sprintf("give at most %d", MaxHosts)}
	}
	return hosts, nil
}

func parseLevel(v string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(v, l.String()) {
			return l, nil
		}
	}
	return 0, &problem{quote(v) + " is no level", "use debug, info, warn or error"}
}
