package term

import "testing"

func TestAbilities(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want Ability
	}{
		{"nothing is known", nil, Ability{}},
		{"UTF-8", map[string]string{"LANG": "en_GB.UTF-8"}, Ability{}},
		{"UTF-8 written otherwise", map[string]string{"LC_CTYPE": "de_DE.utf8@euro"}, Ability{}},
		{"C", map[string]string{"LANG": "C"}, Ability{ASCII: true}},
		{"Latin 1", map[string]string{"LANG": "de_DE.ISO-8859-1"}, Ability{ASCII: true}},
		{"no character set", map[string]string{"LANG": "de_DE"}, Ability{ASCII: true}},
		{"LC_ALL before the others", map[string]string{"LC_ALL": "POSIX", "LC_CTYPE": "C.UTF-8", "LANG": "C.UTF-8"}, Ability{ASCII: true}},
		{"LC_CTYPE before LANG", map[string]string{"LC_CTYPE": "C.UTF-8", "LANG": "C"}, Ability{}},
		{"an empty variable is not set", map[string]string{"LC_ALL": "", "LANG": "C"}, Ability{ASCII: true}},
		{"dumb", map[string]string{"TERM": "dumb", "LANG": "C.UTF-8"}, Ability{ASCII: true, Mono: true}},
		{"no colour", map[string]string{"NO_COLOR": "1", "TERM": "xterm-256color", "LANG": "C.UTF-8"}, Ability{Mono: true}},
		{"an empty NO_COLOR asks for nothing", map[string]string{"NO_COLOR": "", "LANG": "C.UTF-8"}, Ability{}},
	}
	for _, tt := range tests {
		if got := Abilities(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
