package govc

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// proxyFor returns how requests to the service go out, and host:port of the
// proxy that its own requests take, "" for none: as HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY say, and never for this machine.
func proxyFor(service *url.URL) (func(*http.Request) (*url.URL, error), string, error) {
	host := service.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil, "", nil
	}
	settings := httpproxy.FromEnvironment()
	broken(&settings.HTTPProxy)
	broken(&settings.HTTPSProxy)
	proxy, err := settings.ProxyFunc()(service)
	if err != nil {
		return nil, "", errors.New("govc: no proxy can be found for the URL of the service; look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY") // the cause would repeat the address, and a password in it
	}
	switch {
	case proxy == nil:
		return nil, "", nil
	case proxy.Host == noHost:
		return nil, "", &OptionError{"HTTP_PROXY or HTTPS_PROXY", "the address of the proxy is none", "write http://host:port", nil}
	}
	return http.ProxyURL(proxy), proxy.Host, nil
}

// noHost stands for the address of a proxy that is none.
const noHost = "proxy.invalid"

// broken replaces the address of a proxy that is none, which would be passed
// over without a word.
func broken(address *string) {
	if *address == "" {
		return
	}
	u, err := url.Parse(*address)
	if err != nil || u.Host == "" {
		u, err = url.Parse("http://" + *address)
	}
	if err != nil || u.Hostname() == "" {
		*address = "http://" + noHost
	}
}

// newPool keeps connections shorter than a service does, so that it rarely
// meets one that is closed already.
func newPool(connect time.Duration) *http.Transport {
	return &http.Transport{
		TLSHandshakeTimeout:    connect,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        64,
		IdleConnTimeout:        45 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
