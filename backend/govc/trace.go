package govc

import "time"

// Latency is where the time of a request went. DNS, Connect and TLS are of the
// newest connection that was made; the rest is of the newest probe, see Health.
type Latency struct {
	DNS       time.Duration // 0 for an address
	Connect   time.Duration // to the service, or to the proxy before it
	TLS       time.Duration // 0 for plain HTTP
	Opened    time.Time     // when that connection was made, zero: none yet
	FirstByte time.Duration // from the beginning to the first byte of the answer
	Total     time.Duration
	Reused    bool      // the probe found a connection open
	At        time.Time // when the probe began, zero: none yet
}

// Latency returns what is known now.
func (c *Client) Latency() Latency { return Latency{} }
