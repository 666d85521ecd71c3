// Package wiretest is what tests know of the govc services of this world:
// exchanges recorded at running ones, handlers that replay them, emulators of
// both dialects that behave as was observed, a watch over what a client may
// never ask, and one suite of exchanges that the recorded services, the
// emulators and ours all satisfy.
//
// Only tests import it. It knows neither the client nor the service: both are
// handed to it as http.Handler or talk to it over HTTP. The emulators imitate
// what a client can see; where nothing was observed they do what is worst for
// the client.
package wiretest
