package govcd

import (
	"net/url"
	"testing"
)

// FuzzParameter compares with the table that the standard library makes.
func FuzzParameter(f *testing.F) {
	for _, query := range []string{
		"", "path=a", "path=a&path=b", "x=1&path=a%2Fb+c&ref=main", "pat%68=a", "path", "path=%zz&path=b", "path=a;b&path=c", "p=1;path=2", "%zz=1&path=a", "&&path=a&", "+path=x",
	} {
		f.Add(query, "path")
	}
	f.Fuzz(func(t *testing.T, query, name string) {
		want := (&url.URL{RawQuery: query}).Query().Get(name)
		if got := parameter(query, name); got != want {
			t.Errorf("%q of %q is %q, want %q", name, query, got, want)
		}
	})
}
